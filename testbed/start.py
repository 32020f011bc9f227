"""``up``: from whatever is there to a testbed in which everything is ready, saying what is done."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from testbed import build, catalog, logs, preflight, registry, sandbox
from testbed.build import files
from testbed.control import Supervisor
from testbed.errors import StartError
from testbed.home import SOURCE
from testbed.network import Network
from testbed.state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from testbed.home import Home
    from testbed.sandbox import Sandbox
    from testbed.state import Status

DEFAULT_NODES = 3
PATIENCE_S = 120.0
POLL_S = 0.2
LAST_LINES = 8
LOGS_TIMEOUT_S = 15


def up(home: Home, nodes: int | None, console: Console) -> Sandbox:
    """Bring the testbed up, repair one that lost a part, or find that nothing is to do.

    :param nodes: how many; None keeps what runs, or takes three.
    :param console: where progress goes.
    :raises MachineError: this machine cannot carry it; nothing was changed.
    :raises BuildError: something could not be made.
    :raises StartError: a component is not ready after two minutes; it is named, with its last log lines.
    """
    table = catalog.load()
    running = sandbox.find(home)
    network = _plan(running, nodes)
    fingerprint = _fingerprint(home, table, network)
    if running is None or running.fingerprint != fingerprint or running.nodes != network.node_count:
        running = _anew(home, table, network, fingerprint, console, replaces=running)
    sandbox.connect(running)
    supervisor = Supervisor(home.control)
    supervisor.repair()
    _wait(home, network, supervisor, console)
    return running


def _anew(
    home: Home,
    table: catalog.Catalog,
    network: Network,
    fingerprint: str,
    console: Console,
    *,
    replaces: Sandbox | None,
) -> Sandbox:
    """Check the machine, make what is missing, and start; only then does another testbed end."""
    needs_build = build.needs_build(home, table)
    for warning in preflight.require(home, network, table, needs_build=needs_build, running=replaces is not None):
        console.print(f"warning: {warning}", markup=False)
    if needs_build:
        console.print(f"making what is missing: about {build.expected_seconds(home, table) / 60:.0f} min")
    build.prepare(home, table, network, console)
    if replaces:
        console.print("the running testbed was made from other files or with other nodes: it is made anew")
        sandbox.end(home)
    registry.fill(home)
    return sandbox.start(home, network, fingerprint)


def _fingerprint(home: Home, table: catalog.Catalog, network: Network) -> str:
    """Tell one making of the testbed from another: what it starts from, and this package's own files."""
    own = [file for file in files.files_in(SOURCE) if "__pycache__" not in file.parts]
    return files.digest(build.fingerprint(home, table, network), files.digest_of(own, SOURCE), str(network.range))


def _plan(running: Sandbox | None, nodes: int | None) -> Network:
    if running and nodes is None:
        return running.network
    return Network.plan(nodes or DEFAULT_NODES)


def _wait(home: Home, network: Network, supervisor: Supervisor, console: Console) -> None:
    """Wait until all is ready, with a line for each that becomes so."""
    begin = time.monotonic()
    told: set[str] = set()
    rows = supervisor.status()
    if all(row.state is State.READY for row in rows):
        return
    with console.status("starting") as spinner:
        while True:
            ready = [row for row in rows if row.state is State.READY]
            for row in ready:
                if row.name not in told:
                    told.add(row.name)
                    console.print(f"{time.monotonic() - begin:6.1f} s  {row.name} ready  [dim]{row.about}[/dim]")
            if len(ready) == len(rows):
                return
            if time.monotonic() - begin >= PATIENCE_S:
                raise _failure(home, network, rows)
            spinner.update(f"{len(ready)} of {len(rows)} ready, next: {_next(rows)}")
            time.sleep(POLL_S)
            rows = supervisor.status()


def _next(rows: Sequence[Status]) -> str:
    return ", ".join(row.name for row in rows if row.state not in (State.READY, State.WAITING))[:80]


def _failure(home: Home, network: Network, rows: Sequence[Status]) -> StartError:
    unready = [row for row in rows if row.state is not State.READY]
    guilty = [row for row in unready if row.state is not State.WAITING] or unready
    found = []
    for row in guilty:
        found.append(f"{row.name} is {row.state}, started again {row.restarts} times: {row.detail or 'no answer yet'}")
        command = logs.command(home, network, row.name, lines=LAST_LINES, follow=False)
        found += [f"  | {line}" for line in _last_lines(command)]
    names = ", ".join(row.name for row in guilty)
    return StartError(
        f"{names}: not ready after {PATIENCE_S:g} s; {len(rows) - len(guilty)} others are ready or wait",
        found="\n".join(found),
        do=f"python -m testbed logs {guilty[0].name}; then up again, or down and up for a clean start",
    )


def _last_lines(command: list[str]) -> list[str]:
    """Run what shows a log. That it cannot be shown must not hide whose log it is."""
    try:
        said = subprocess.run(command, text=True, capture_output=True, timeout=LOGS_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return [f"{command[0]}: no answer within {LOGS_TIMEOUT_S:g} s"]
    except OSError as error:
        return [f"{command[0]}: {error.strerror}"]
    return (said.stdout or said.stderr).splitlines()[-LAST_LINES:]
