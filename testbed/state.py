"""What the supervisor knows of a component, as it crosses the control socket."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a component is.

    ``waiting``: for those that it comes after. ``starting``: it runs and does not answer yet. ``ready``: its health
    endpoint says so. ``unhealthy``: it runs, was ready, and does not answer now. ``restarting``: it ended by itself and
    comes back after a pause. ``stopped``: somebody asked for it.
    """

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclass
class Status:
    """One row of ``status``.

    :param since: seconds since the epoch when the state began.
    :param restarts: how often it was started again.
    :param detail: what it waits for, or what its health endpoint last said.
    """

    name: str
    about: str
    version: str
    state: State
    since: float
    restarts: int = 0
    pid: int | None = None
    detail: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return what JSON can carry."""
        return asdict(self)

    @classmethod
    def from_wire(cls, row: dict[str, Any]) -> Status:
        """Read what :meth:`to_wire` wrote."""
        return cls(**{**row, "state": State(row["state"])})
