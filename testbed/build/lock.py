"""One build at a time: an exclusive lock on a file in the cache, which says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def exclusive(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock; when somebody else has it, say who, and wait.

    The kernel gives the lock back when its holder ends in any way, so a killed build blocks nobody.

    :param path: the lock file, made when it is missing.
    :param say: takes the one line that is said before waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"waiting for {file.read().strip() or 'another process'}, which is building too")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} ({shlex.join(sys.orig_argv)[:120]})")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
