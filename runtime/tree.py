"""The namespaces that hold Airflow, seen from the machine: start them, find them, end them.

Everything is one process tree below one ``unshare``. When it ends, by whatever death, the kernel takes down every
process in it, tasks included. It is a tree of its own, apart from the testbed's: either may be dead while the other
lives.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from runtime.supervision import GONE, NAMESPACES, Supervisor
from testbed import proc
from testbed.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.home import Home

APPEAR_S = 20.0
VANISH_S = 20.0
POLL_S = 0.05


@dataclass(frozen=True)
class Tree:
    """The running tree, as it is remembered in the state folder.

    :param pid: of the ``unshare`` process, as the machine sees it.
    :param started: when it started, by the kernel's own count; the same number with another start is somebody else's.
    :param fingerprint: what it was configured with.
    """

    pid: int
    started: str
    fingerprint: str

    def memory(self, inside: int) -> int:
        """Return the memory of a part and of everything below it, in bytes: its share of what is shared (PSS).

        :param inside: the part's pid as supervisord sees it.
        """
        for supervisor in proc.children_of(self.pid):
            for child in proc.children_of(supervisor):
                if _pid_inside(child) == inside:
                    return sum(_pss(pid) for pid in (child, *_below(child)))
        return 0


def find(home: Home) -> Tree | None:
    """Return the running tree, None when there is none, or only what a dead one left."""
    try:
        tree = Tree(**json.loads(home.pidfile.read_text(encoding="utf-8")))
        alive = proc.start_of(tree.pid) == tree.started and not proc.is_dead(tree.pid)
    except (OSError, ValueError, TypeError):
        return None
    return tree if alive else None


def start(home: Home, environment: Mapping[str, str], fingerprint: str) -> Tree:
    """Start the tree, and wait until its supervisor answers.

    :param environment: of all processes in it.
    :param fingerprint: what it is configured with.
    :raises StartError: the supervisor ended, or does not answer.
    """
    home.socket.unlink(missing_ok=True)
    log = home.logs / "supervisord.log"
    command = [*NAMESPACES, "--", sys.executable, "-m", "supervisor.supervisord", f"--configuration={home.supervisord}"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=home.folder,
            start_new_session=True,
        )
    tree = Tree(pid=process.pid, started=proc.start_of(process.pid), fingerprint=fingerprint)
    home.pidfile.write_text(json.dumps(asdict(tree)), encoding="utf-8")
    deadline = time.monotonic() + APPEAR_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            Supervisor(home).states()
        except GONE:
            time.sleep(POLL_S)
        else:
            return tree
    ended = f"it ended with {process.returncode}" if process.returncode is not None else "it does not answer"
    raise StartError(
        f"supervisord did not come up: {ended}",
        found=last_lines(log),
        do="python -m runtime down, then python -m runtime up",
    )


def end(home: Home) -> bool:
    """End the tree.

    :return: whether one was running.
    :raises StartError: it does not end.
    """
    tree = find(home)
    if tree is None:
        return False
    inside = proc.children_of(tree.pid)
    os.kill(tree.pid, signal.SIGKILL)
    deadline = time.monotonic() + VANISH_S
    # PID 1 of a namespace goes last, so when it is gone, everything is.
    while alive := [pid for pid in (tree.pid, *inside) if not proc.is_dead(pid)]:
        if time.monotonic() > deadline:
            raise StartError(
                f"Airflow did not end within {VANISH_S:g} s after SIGKILL",
                found=f"processes {alive} are still there",
                do=f"ps -o pid,stat,wchan,args -p {','.join(map(str, alive))}; one in state D waits for a disk",
            )
        time.sleep(POLL_S)
    return True


def last_lines(log: Path, count: int = 12) -> str:
    """Return the end of a log file."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(lines[-count:]) or "its log is empty"


def _pid_inside(pid: int) -> int:
    """Return the number that a process has in the namespace below the machine's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    numbers = re.search(r"^NSpid:\s+\d+\s+(\d+)", status, re.MULTILINE)
    return int(numbers[1]) if numbers else 0


def _below(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _pss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_full_info().pss)
    except psutil.Error:
        return 0
