"""Which command shows what a component says: its log files, or the logs of its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import catalog
from testbed.addon import find_workloads
from testbed.build import manifests
from testbed.errors import UsageError
from testbed.place import places

if TYPE_CHECKING:
    from testbed.catalog import Component
    from testbed.home import Home
    from testbed.network import Network


def command(home: Home, network: Network, name: str, *, lines: int, follow: bool) -> list[str]:
    """Return the command to run.

    :param name: ``kubelet``, ``kubelet@node-1``, ``supervisor``, or an add-on like ``traefik``.
    :raises UsageError: nothing is called so.
    """
    table = catalog.load()
    for addon in table.addons:
        if addon.name == name:
            return _of_pods(home, network, table, addon, lines=lines, follow=follow)
    files = {place.name: place.log for place in places(home, network, table)}
    files["supervisor"] = home.logs / "supervisor.log"
    chosen = [str(file) for key, file in files.items() if name in (key, key.split("@")[0])]
    if not chosen:
        known = ", ".join(sorted({*(key.split("@")[0] for key in files), *(item.name for item in table.addons)}))
        raise UsageError(f"nothing is called {name!r}", found=f"known: {known}")
    return ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), *chosen]


def _of_pods(
    home: Home, network: Network, table: catalog.Catalog, component: Component, *, lines: int, follow: bool
) -> list[str]:
    rendered = manifests.place(home, table, network, component).read_text(encoding="utf-8")
    workload = next(item for item in find_workloads(rendered, component) if item.namespace)
    command = [
        str(home.bin / "kubectl"),
        f"--kubeconfig={home.kubeconfig}",
        f"--namespace={workload.namespace}",
        "logs",
    ]
    return [
        *command,
        f"{workload.kind.lower()}/{workload.name}",
        "--all-containers",
        f"--tail={lines}",
        *(["--follow"] if follow else []),
    ]
