"""One component in one place: where its files lie, and what its templates see."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import jinja2

from testbed.home import SOURCE, Home

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.catalog import Catalog, Component
    from testbed.network import Network, Node


@dataclass(frozen=True)
class Place:
    """A component of the table, on a node or in the middle.

    :param node: the node of a component that runs on each, else None.
    """

    home: Home
    network: Network
    component: Component
    node: Node | None = None

    @property
    def name(self) -> str:
        """The name that people use: ``etcd``, ``kubelet@node-2``."""
        return f"{self.component.name}@{self.node.name}" if self.node else self.component.name

    @property
    def dir(self) -> Path:
        """The component's own folder."""
        if self.node:
            return self.home.state / "nodes" / self.node.name / self.component.name
        return self.home.state / self.component.name

    @property
    def log(self) -> Path:
        """The file that takes what the process prints."""
        return self.home.logs / f"{self.name}.log"

    def render(self, text: str) -> str:
        """Fill a text of the table.

        :raises jinja2.UndefinedError: it names a value that does not exist.
        """
        return _environment().from_string(text).render(self._values())

    def render_all(self, texts: tuple[str, ...]) -> list[str]:
        """Fill an argument list."""
        return [self.render(text) for text in texts]

    def render_file(self, template: str) -> str:
        """Fill a file of testbed/templates."""
        return _environment().get_template(template).render(self._values())

    def _values(self) -> dict[str, object]:
        return {
            "home": self.home,
            "network": self.network,
            "nodes": self.network.nodes,
            "node": self.node,
            "dir": self.dir,
            "bin": self.home.bin,
            "python": sys.executable,
        }


def places(home: Home, network: Network, catalog: Catalog) -> tuple[Place, ...]:
    """Return every process of a testbed, in the order in which they can start."""
    return tuple(
        Place(home, network, component, node)
        for component in catalog.in_order()
        if component.run
        for node in (network.nodes if component.each == "node" else (None,))
    )


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCE / "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files, not pages
    )
