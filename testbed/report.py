"""What people see: the table of components, the addresses, the words after `up`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from testbed.state import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.existing import Row
    from testbed.home import Home
    from testbed.network import Network
    from testbed.state import Status

COLOURS = {State.READY: "green", State.WAITING: "dim", State.STARTING: "yellow", State.STOPPED: "magenta"}
NEED_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


def all_ready(rows: Iterable[Status]) -> bool:
    """Say whether every component is ready."""
    return all(row.state is State.READY for row in rows)


def table(rows: Iterable[Status]) -> Table:
    """Draw one row a component."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("COMPONENT", "VERSION", "STATE", "FOR", "RESTARTS", "ABOUT"):
        drawn.add_column(title, no_wrap=title != "ABOUT", overflow="fold")
    for row in rows:
        drawn.add_row(
            row.name,
            row.version or "-",
            Text(row.state, style=COLOURS.get(row.state, "red")),
            age(time.time() - row.since),
            str(row.restarts),
            row.detail or row.about,
        )
    return drawn


def addresses(home: Home, network: Network) -> Text:
    """Name what a person wants to open or to trust."""
    return Text(
        "\n".join(
            (
                "",
                f"API server   {network.api_server}   kubeconfig {home.kubeconfig}",
                f"ingress      http and https on {network.ingress} for *.testbed.internal   CA {home.ca}",
                f"             curl --cacert {home.ca} --resolve '*:443:{network.ingress}' https://prometheus.testbed.internal",
                f"registry     {network.control}:5000, registry.testbed.internal:5000 for pods",
                f"PostgreSQL   postgresql://postgres:testbed@{network.control}:5432/postgres",
                f"Redis        redis://{network.control}:6379",
                f"mail, chat   smtp {network.control}:1025, what arrived: http://{network.control}:8080",
            )
        )
    )


def welcome(home: Home, network: Network, seconds: float) -> Text:
    """Say that the testbed is up, and what comes next."""
    nodes = f"{network.node_count} node{'s' if network.node_count > 1 else ''}"
    return Text(
        f"the testbed is up: {nodes} and every add-on ready ({seconds:.1f} s)\n"
        '  next: eval "$(python -m testbed env)" && kubectl get pods --all-namespaces'
    ).append(addresses(home, network))


def needs(rows: Iterable[Row]) -> Table:
    """Draw what slipway needs of an existing cluster, and what is there."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("NEED", "STATE", "FOUND", "DO"):
        drawn.add_column(title, overflow="fold")
    for row in rows:
        drawn.add_row(row.need, Text(row.state, style=NEED_COLOURS[row.state]), row.found, row.do)
    return drawn


def age(seconds: float) -> str:
    """Write a duration as people say it: ``4s``, ``12m``, ``3h5m``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)  # a clock may be set back
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
