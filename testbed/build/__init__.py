"""Everything made before a testbed starts, each once: Debian packages, programs, images, manifests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.build import debian, files, go, images, manifests
from testbed.build.lock import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from testbed.catalog import Catalog
    from testbed.home import Home
    from testbed.network import Network

SECONDS_OF_A_PACKAGE = 2.0


@dataclass(frozen=True)
class Prepared:
    """What a testbed starts from.

    :param fingerprint: changes when anything that it starts from changes.
    :param manifests: the rendered file of each add-on, by the component's name.
    """

    fingerprint: str
    manifests: Mapping[str, Path]


def prepare(home: Home, catalog: Catalog, network: Network, console: Console) -> Prepared:
    """Make what is missing. Where nothing is, this only compares hashes.

    :param home: the folders.
    :param catalog: the table.
    :param network: the plan of addresses, for the manifests.
    :param console: where progress is shown.
    :raises BuildError: something could not be made; what was made before stays, and the next call goes on.
    """

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with exclusive(home.cache / "lock", say):
        debian.install(debian.missing(catalog.debian_packages), say)
        go.build(home, catalog, console)
        images.build(home, catalog, console)
        rendered = {item.name: manifests.rendered(home, catalog, network, item) for item in catalog.addons}
        manifests.sweep(home, set(rendered.values()))
    return Prepared(fingerprint(home, catalog, network), rendered)


def fingerprint(home: Home, catalog: Catalog, network: Network) -> str:
    """Return 12 hexadecimal digits over everything that a testbed is made from, known beforehand.

    :param home: the folders.
    :param catalog: the table.
    :param network: the plan of addresses.
    """
    return files.digest(
        catalog.debian_packages,
        [str(go.program(home, catalog, item)) for item in catalog.go_programs],
        images.source_hash(catalog),
        [manifests.place(home, catalog, network, item).name for item in catalog.addons],
    )


def needs_build(home: Home, catalog: Catalog) -> bool:
    """Say whether programs or images are still to be made: then Go and more disk are needed.

    :param home: the folders.
    :param catalog: the table.
    """
    return bool(go.unbuilt(home, catalog)) or not images.is_built(home, catalog)


def expected_seconds(home: Home, catalog: Catalog) -> float:
    """Return what :func:`prepare` will take, from what it took before on this machine, or from a table.

    :param home: the folders.
    :param catalog: the table.
    """
    packages = len(debian.missing(catalog.debian_packages)) * SECONDS_OF_A_PACKAGE
    return packages + go.expected_seconds(home, catalog) + images.expected_seconds(home, catalog)
