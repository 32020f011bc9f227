"""The namespaces that hold the testbed, seen from the machine: start them, find them, let the machine in, end them.

Everything is one process tree below one ``unshare``. When it ends, by whatever death, the kernel takes down every
process, mount, network namespace, link and rule inside. What is left is the state folder and the cgroups.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import cgroups, proc
from testbed.control import Supervisor
from testbed.errors import StartError
from testbed.network import CGROUP, Network

if TYPE_CHECKING:
    from testbed.home import Home

UPLINK = "slipway0"
"""The machine's end of the veth pair: the only trace outside, and it vanishes with the namespace."""
COMMAND_TIMEOUT_S = 20
APPEAR_S = 30.0
VANISH_S = 20.0
POLL_S = 0.05


@dataclass(frozen=True)
class Sandbox:
    """The running tree, as it is remembered in the state folder.

    :param pid: of the ``unshare`` process, as the machine sees it.
    :param started: when it started, by the kernel's own count; the same number with another start is somebody else's.
    :param nodes: how many nodes it has.
    :param range: its addresses.
    :param fingerprint: what it was made from.
    """

    pid: int
    started: str
    nodes: int
    range: str
    fingerprint: str

    @property
    def network(self) -> Network:
        """The plan of its addresses."""
        return Network.plan(self.nodes, self.range)

    @property
    def init(self) -> int | None:
        """The supervisor: PID 1 inside, and this number outside."""
        return next(iter(proc.children_of(self.pid)), None)


def find(home: Home) -> Sandbox | None:
    """Return the running testbed, None when there is none, or only what a dead one left."""
    try:
        sandbox = Sandbox(**json.loads(home.pidfile.read_text(encoding="utf-8")))
        alive = proc.start_of(sandbox.pid) == sandbox.started and not proc.is_dead(sandbox.pid)
    except (OSError, ValueError, TypeError):
        return None
    return sandbox if alive else None


def start(home: Home, network: Network, fingerprint: str) -> Sandbox:
    """Start the tree, and wait until its supervisor answers.

    :param fingerprint: what it is made from.
    :raises StartError: the supervisor ended, or does not answer.
    """
    home.logs.mkdir(parents=True, exist_ok=True)
    # What a killed tree left would be taken for this one's: its cgroups, and a cable that is about to vanish.
    cgroups.detect().sweep(CGROUP)
    _cut_uplink()
    log = home.logs / "supervisor.log"
    command = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    command += ["--propagation", "private", "--", sys.executable, "-m", "testbed.supervisor"]
    command += ["--nodes", str(network.node_count)]
    environment = {
        **os.environ,
        "PATH": home.path(),
        "SLIPWAY_TESTBED_STATE": str(home.state),
        "SLIPWAY_TESTBED_RANGE": str(network.range),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    home.control.unlink(missing_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=home.state,
            start_new_session=True,
        )
    sandbox = Sandbox(
        pid=process.pid,
        started=proc.start_of(process.pid),
        nodes=network.node_count,
        range=str(network.range),
        fingerprint=fingerprint,
    )
    home.pidfile.write_text(json.dumps(asdict(sandbox)), encoding="utf-8")
    _wait_for_supervisor(home, process)
    return sandbox


def connect(sandbox: Sandbox) -> None:
    """Lay the cable between the machine and the testbed, and the one route over it. Does nothing when it lies.

    :raises StartError: a command of iproute2 failed.
    """
    network = sandbox.network
    if _has_uplink(network):
        return
    _cut_uplink()
    inside = ["nsenter", f"--target={sandbox.init}", "--net", "--"]
    _run(["ip", "link", "add", UPLINK, "type", "veth", "peer", "name", "uplink", "netns", str(sandbox.init)])
    _run([*inside, "ip", "addr", "add", f"{network.uplink_testbed}/30", "dev", "uplink"])
    _run([*inside, "ip", "link", "set", "uplink", "up"])
    _run(["ip", "addr", "add", f"{network.uplink_machine}/30", "dev", UPLINK])
    _run(["ip", "link", "set", UPLINK, "up"])
    _run(["ip", "route", "replace", str(network.range), "via", str(network.uplink_testbed)])


def end(home: Home) -> list[str]:
    """End the tree and remove what it leaves: the cgroups and the state folder.

    :return: what could not be removed; empty when nothing is left.
    :raises StartError: the tree does not end.
    """
    sandbox = find(home)
    if sandbox:
        inside = proc.children_of(sandbox.pid)
        os.kill(sandbox.pid, signal.SIGKILL)
        _wait_for_end([sandbox.pid, *inside])
    _cut_uplink()
    left = [str(item) for item in cgroups.detect().sweep(CGROUP)]
    shutil.rmtree(home.state, ignore_errors=True)
    if home.state.exists():
        left.append(str(home.state))
    return left


def _wait_for_supervisor(home: Home, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + APPEAR_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            Supervisor(home.control).status()
        except OSError:
            time.sleep(POLL_S)
        else:
            return
    last = (home.logs / "supervisor.log").read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
    ended = f"it ended with {process.returncode}" if process.returncode is not None else "it does not answer"
    raise StartError(
        f"the supervisor of the testbed did not come up: {ended}",
        found="\n".join(last) or "its log is empty",
        do="python -m testbed down, then python -m testbed up",
    )


def _wait_for_end(pids: list[int]) -> None:
    """Wait until the first processes are gone: PID 1 of a namespace goes last."""
    deadline = time.monotonic() + VANISH_S
    while alive := [pid for pid in pids if not proc.is_dead(pid)]:
        if time.monotonic() > deadline:
            raise StartError(
                f"the testbed did not end within {VANISH_S:g} s after SIGKILL",
                found=f"processes {alive} are still there",
                do=f"ps -o pid,stat,wchan,args -p {','.join(map(str, alive))}; one in state D waits for a disk",
            )
        time.sleep(POLL_S)


def _link_exists() -> bool:
    return Path(f"/sys/class/net/{UPLINK}").exists()


def _cut_uplink() -> None:
    """Remove the cable. The kernel does it as well, but only when the last socket in the namespace is closed."""
    if _link_exists():
        _run(["ip", "link", "delete", UPLINK], check=False)


def _has_uplink(network: Network) -> bool:
    if not _link_exists():
        return False
    routes: list[dict[str, Any]] = json.loads(_run(["ip", "-json", "route", "show", "dev", UPLINK]) or "[]")
    return str(network.range) in {route["dst"] for route in routes}


def _run(command: list[str], *, check: bool = True) -> str:
    done = subprocess.run(command, text=True, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if check and done.returncode:
        raise StartError(
            f"the machine could not be connected to the testbed: {' '.join(command)}",
            found=done.stderr.strip(),
            do="python -m testbed down, then python -m testbed up",
        )
    return done.stdout
