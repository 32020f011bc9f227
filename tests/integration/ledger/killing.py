"""A child process that is killed at a chosen place of its conversation with PostgreSQL."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable


class Killed:
    """Counts the places before each statement and around each commit, and dies by SIGKILL at one of them."""

    def __init__(self, at: int) -> None:
        self.at, self.seen = at, 0

    def place(self) -> None:
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen += 1

    def before(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.place()
            return method(*arguments, **named)

        return called

    def around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            self.place()
            result = method(*arguments, **named)
            self.place()
            return result

        return called


def is_killed(action: Callable[[], object], at: int) -> bool:
    """Run an action in a child that dies at the given place; False when it had fewer places and came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            killed = Killed(at)
            psycopg.Cursor.execute = killed.before(psycopg.Cursor.execute)  # type: ignore[method-assign]
            psycopg.Connection.commit = killed.around(psycopg.Connection.commit)  # type: ignore[method-assign]
            action()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the action failed in the child by itself"
    return False
