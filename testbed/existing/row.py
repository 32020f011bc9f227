"""One line of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """``missing``: slipway cannot work. ``warning``: it works worse, or nobody can see whether it does."""

    OK = "ok"
    MISSING = "missing"
    WARNING = "warning"


@dataclass(frozen=True)
class Row:
    """A need, and how it is met.

    :param need: what slipway needs.
    :param found: what the cluster has.
    :param do: the command that helps; empty where all is well.
    """

    need: str
    found: str
    state: State
    do: str = ""


def ok(need: str, found: str) -> Row:
    """Return a row for what is there."""
    return Row(need, found, State.OK)


def missing(need: str, found: str, do: str) -> Row:
    """Return a row for what slipway cannot work without."""
    return Row(need, found, State.MISSING, do)


def warning(need: str, found: str, do: str) -> Row:
    """Return a row for what it works worse without."""
    return Row(need, found, State.WARNING, do)
