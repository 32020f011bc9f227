"""A gate may be waived: outside of production, for a reason, for a short time, and loudly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from slipway.errors import GateError
from slipway.names import EnvironmentKind

if TYPE_CHECKING:
    from datetime import date

LONGEST = timedelta(days=30)
"""For an environment that somebody relies on. A local one serves nobody, and its file is the same for everybody who
checks it out: there a day is needed, but a near one would only break everybody's tests on it."""
SHORTEST_REASON = 10


@dataclass(frozen=True)
class Waiver:
    """Why a gate may say no and be passed, and until when.

    :param reason: a sentence for whoever reads the dossier.
    :param until: the last day it holds, in UTC.
    """

    reason: str
    until: date


def admit(waiver: Waiver | None, environment: EnvironmentKind, today: date, what: str) -> Waiver | None:
    """Return the waiver where it holds.

    :param waiver: what the environment says; None is returned as it is.
    :param environment: how strict the environment is.
    :param today: in UTC.
    :param what: the gate's name, for the errors.
    :raises GateError: it must not be there at all: in production, without a reason, over, or for too long.
    """
    if waiver is None:
        return None
    if environment is EnvironmentKind.PRODUCTION:
        raise GateError(
            f"production admits no waiver of {what}",
            found=f"waived until {waiver.until}: {waiver.reason}",
            mend="remove the waiver and mend what it hides",
        )
    if len(waiver.reason.strip()) < SHORTEST_REASON:
        raise GateError(
            f"the waiver of {what} gives no reason",
            found=repr(waiver.reason),
            mend="say in a sentence why it is needed and what ends it",
        )
    if waiver.until < today:
        raise GateError(
            f"the waiver of {what} is over",
            found=f"until {waiver.until}, today is {today}: {waiver.reason}",
            mend="mend what it hid, or give a new reason and a new day",
        )
    if environment is not EnvironmentKind.LOCAL and waiver.until - today > LONGEST:
        raise GateError(
            f"the waiver of {what} is too long",
            found=f"until {waiver.until}, {(waiver.until - today).days} days ahead",
            mend=f"name a day within {LONGEST.days} days: not after {today + LONGEST}",
        )
    return waiver
