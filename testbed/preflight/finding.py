"""What a check says, and what it is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from testbed.errors import MachineError

if TYPE_CHECKING:
    from testbed.catalog import Catalog
    from testbed.home import Home
    from testbed.network import Network


class Level(StrEnum):
    """An error stops the start; a warning is told."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing about the machine.

    :param what: one sentence.
    :param found: what was seen.
    :param do: the next step, as a command where there is one.
    """

    what: str
    found: str = ""
    do: str = ""
    level: Level = Level.ERROR

    def __str__(self) -> str:
        return f"{self.level}: {MachineError(self.what, found=self.found, do=self.do)}"


@dataclass(frozen=True)
class Plan:
    """What is to be started.

    :param needs_build: whether something is still to be built.
    :param running: whether a testbed of this state folder runs.
    """

    home: Home
    network: Network
    catalog: Catalog
    needs_build: bool
    running: bool
