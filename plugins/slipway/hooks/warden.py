"""Runs one program for `slipway.hooks.process`, and ends it with everything it started when its parent is gone.

Started as a file, with nothing but the standard library, because it runs before every program: it costs 20 ms.
The parent holds the writing end of a pipe. When the parent ends, by whatever death, the kernel closes it.
PR_SET_PDEATHSIG alone would not do: it is tied to the thread that forked, and reaches one process only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
NOT_STARTED = 127
SIGNALLED = 128


def main(arguments: list[str]) -> int:
    """Run the program and return its exit code.

    :param arguments: the pipe's file descriptor, then the program and its arguments.
    :return: the program's exit code; 128 + n when signal n ended it; 127 when it could not be started.
    """
    parent = int(arguments[0])
    libc = ctypes.CDLL(None, use_errno=True)
    # What the program's own children leave behind comes to us, not to init, so that we can end it.
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # A polite end is meant for the program. A handler, not SIG_IGN: that one would be inherited by it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        # Our own death, too, ends it. This process has one thread, so the code between fork and exec is safe.
        program = subprocess.Popen(
            arguments[1:],
            close_fds=True,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
        )
    except OSError as error:
        sys.stderr.write(f"{arguments[1]} could not be started: {error.strerror}\n")
        return NOT_STARTED
    if not _ends_before_parent(program.pid, parent):
        end_descendants()
        os.killpg(0, signal.SIGKILL)
    code = program.wait()
    end_descendants()
    return code if code >= 0 else SIGNALLED - code


def _ends_before_parent(program: int, parent: int) -> bool:
    """Wait for the program's end or the parent's, and say whether it was the program's."""
    handle = os.pidfd_open(program)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(parent, select.POLLHUP)
    ready = {descriptor for descriptor, _ in poll.poll()}
    os.close(handle)
    return handle in ready


def end_descendants() -> None:
    """Kill whatever descends from this process, also what left its process group."""
    while children := _children(os.getpid()):
        for child in children:
            # A killed child's own children come to us, and are met in the next round.
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 10 ms
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN: the process group has to do
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
