"""Errors of the testbed. Each says what happened, what was found, and what to do about it.

::

    TestbedError
    ├── MachineError    this machine cannot carry a testbed; nothing was changed
    ├── BuildError      a program, a package or an image could not be made
    ├── StartError      a component did not come up, or went down again
    └── UsageError      the request does not fit the state: no testbed runs, an unknown name
"""

from __future__ import annotations


class TestbedError(Exception):
    """What happened, and if known what was found and what to do.

    :param what: one sentence: what happened, and where.
    :param found: what the program saw: a value, the last lines of a log.
    :param do: the next step, as a command where there is one.
    """

    __test__ = False  # pytest would collect the name as a test class
    exit_code = 1

    def __init__(self, what: str, *, found: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.found = found
        self.do = do

    def __str__(self) -> str:
        lines = [self.what]
        for label, text in (("found", self.found), ("do", self.do)):
            if text:
                head, *rest = text.splitlines()
                lines += [f"  {label:<6} {head}", *(f"  {'':<6} {line}" for line in rest)]
        return "\n".join(lines)


class MachineError(TestbedError):
    """This machine cannot carry a testbed. Raised before anything was changed."""

    exit_code = 3


class BuildError(TestbedError):
    """A program, a Debian package or an image could not be made."""

    exit_code = 4


class StartError(TestbedError):
    """A component did not come up in time, or went down again."""

    exit_code = 5


class UsageError(TestbedError):
    """The request does not fit: no testbed is running, a name is unknown."""

    exit_code = 2
