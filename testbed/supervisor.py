"""The first process of the testbed: makes its network and certificates, keeps everything running, and reaps.

It is PID 1 of a PID namespace with mount and network namespaces of its own (:mod:`testbed.sandbox`), so when it ends,
by whatever death, the kernel ends all the rest. Run as ``python -m testbed.supervisor --nodes N``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from typing import Any

from testbed import catalog, cgroups, control, mounts, nodes, pki, proc
from testbed.addon import Addon
from testbed.build import manifests
from testbed.health import Doctor
from testbed.home import Home
from testbed.network import Network, Node
from testbed.place import Place, places
from testbed.process import Process
from testbed.state import State

log = logging.getLogger("testbed")
SWEEP_S = 1.0


class Testbed:
    """All processes and add-ons, with the questions that the control socket may ask."""

    __test__ = False

    def __init__(self, home: Home, network: Network, table: catalog.Catalog) -> None:
        self._network = network
        doctor = Doctor(home, network)
        self._ready: dict[str, list[Process | Addon]] = {}
        for place in places(home, network, table):
            self._add(Process(place, self._gates(place), doctor))
        for component in table.in_order():
            if component.addon:
                place = Place(home, network, component)
                manifest = manifests.place(home, table, network, component)
                self._add(Addon(place, manifest, self._gates(place), doctor))
        self.members = [member for group in self._ready.values() for member in group]

    async def run(self) -> None:
        """Keep every member running; until cancelled."""
        async with asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(member.keep(), name=member.status.name)

    async def answer(self, question: dict[str, str]) -> Any:
        """Answer a question of the control socket.

        :raises KeyError: an unknown name or an unknown question.
        """
        match question["do"]:
            case "status":
                return [member.status.to_wire() for member in self.members]
            case "repair":
                return self._repair()
            case "stop":
                return await self._stop(question["name"])
            case "start":
                return self._start(question["name"])
            case other:
                raise KeyError(f"the supervisor does not know the question {other!r}")

    def _add(self, member: Process | Addon) -> None:
        self._ready.setdefault(member.place.component.name, []).append(member)

    def _gates(self, place: Place) -> dict[str, asyncio.Event]:
        """Return the events to wait for: on a node those of the same node, in the middle those of every node."""
        return {
            member.status.name: member.ready
            for name in place.component.after
            for member in self._ready[name]
            if place.node is None or member.place.node in (None, place.node)
        }

    def _repair(self) -> None:
        for member in self.members:
            if isinstance(member, Process):
                member.start()
            elif member.status.state is not State.READY:
                member.repair()

    async def _stop(self, name: str) -> None:
        chosen, node = self._named(name)
        await asyncio.gather(*(member.stop() for member in chosen))
        if node:
            # A node that dies takes its pods along; a shim would keep them running.
            for pid in cgroups.detect().processes(node.cgroup):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _cut(node, up=False)

    def _start(self, name: str) -> None:
        chosen, node = self._named(name)
        if node:
            _cut(node, up=True)
        for member in chosen:
            member.start()

    def _named(self, name: str) -> tuple[list[Process], Node | None]:
        processes = [member for member in self.members if isinstance(member, Process)]
        for node in self._network.nodes:
            if node.name == name:
                return [member for member in processes if member.place.node == node], node
        chosen = [member for member in processes if name in (member.status.name, member.place.component.name)]
        if not chosen:
            raise KeyError(f"no process or node is called {name!r}")
        return chosen, None


async def reap() -> None:
    """Bury the orphans that the kernel gives to PID 1: dead shims and the like; until cancelled.

    asyncio buries children of our own at once. So only what was dead at the sweep before as well is left to bury here:
    no race, and no list of our own children to keep.
    """
    before: set[int] = set()
    while True:
        dead = {pid for pid in proc.children_of(os.getpid()) if proc.is_dead(pid)}
        for pid in dead & before:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        before = dead
        await asyncio.sleep(SWEEP_S)


def _cut(node: Node, *, up: bool) -> None:
    command = ["ip", "link", "set", nodes.link(node), "up" if up else "down"]
    subprocess.run(command, check=True, timeout=nodes.COMMAND_TIMEOUT_S)


def enter(home: Home, network: Network) -> None:
    """Make the namespaces habitable: the mounts, the network, the cgroups, the certificates."""
    mounts.make_private(home)
    nodes.build(network)
    hierarchy = cgroups.detect()
    for node in network.nodes:
        hierarchy.create(node.cgroup)
    authority = pki.Authority(home.pki)
    front = pki.Authority(home.pki, "front-proxy-ca")
    authority.ensure()
    front.ensure()
    pki.ensure_key_pair(home.pki / "service-account")
    front.issue(home.pki / "front-proxy-client", "front-proxy-client")
    certificate, key = authority.issue(home.pki / "admin", "admin", groups=["system:masters"])
    pki.write_kubeconfig(
        home.kubeconfig, server=network.api_server, ca=authority.certificate, certificate=certificate, key=key
    )


async def main(home: Home, network: Network) -> None:
    """Run the testbed until this process is killed."""
    began = time.monotonic()
    testbed = Testbed(home, network, catalog.load())
    await control.serve(home.control, testbed.answer)
    log.info("the supervisor keeps %d components, %d nodes", len(testbed.members), network.node_count)
    async with asyncio.TaskGroup() as group:
        group.create_task(reap())
        group.create_task(testbed.run())
        group.create_task(_tell_ready(testbed, began))


async def _tell_ready(testbed: Testbed, began: float) -> None:
    for member in testbed.members:
        await member.ready.wait()
    log.info("everything was ready %.1f s after the start", time.monotonic() - began)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, required=True)
    here, plan = Home.default(), Network.plan(parser.parse_args().nodes)
    enter(here, plan)
    asyncio.run(main(here, plan))
