"""The rows of the ledger as closed types, and the ids of releases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from slipway.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.names import Channel, EventKind, Occasion, ReleaseState

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,62}")
RUN_ID: Final = re.compile(r"[^\x00-\x1f\x7f]{1,250}")
SAMPLE_NUMBERS: Final = (
    "canary_requests", "canary_errors", "stable_requests", "stable_errors", "canary_p95_s", "stable_p95_s",
    "weight", "observed_share",
)  # fmt: skip
"""Numbers that a sample of the canary has. Counts are since the start of the stage, times in seconds; weight is
what was asked for in percent, observed_share what the router did, 0 to 1. None is "not known"."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release of one application into one environment.

    :param epoch: rises whenever another actor takes the release over; who holds an older one must stop.
    :param lease_until: until when the holder of the lock has promised to be back; None without the lock.
    :param previous: id of the release that was the promoted one when the lock was taken, None for a first install.
    :param last_seq: number of the newest event; last_hash its hash.
    """

    id: str
    application: str
    version: str
    environment: str
    run_id: str
    state: ReleaseState
    epoch: int
    lease_until: datetime | None
    previous: str | None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    last_seq: int
    last_hash: str

    @property
    def holds_lock(self) -> bool:
        """Whether this is the one release that may act on its application and environment."""
        return self.lease_until is not None

    @property
    def title(self) -> str:
        """Application, version and environment in words."""
        return f"{self.application} {self.version} in {self.environment}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `key` makes it unique within the release, so that a retry records it once."""

    release_id: str
    seq: int
    at: datetime
    actor: str
    kind: EventKind
    payload: Mapping[str, Any]
    key: str | None
    hash: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Numbers of one poll of the canary watch; :data:`SAMPLE_NUMBERS` names the usual ones."""

    release_id: str
    at: datetime
    stage: str
    numbers: Mapping[str, float | int | None]


class ReceiptState(StrEnum):
    """How far a notification got."""

    CLAIMED = "claimed"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One notification on one channel, and what became of it."""

    release_id: str
    occasion: Occasion
    channel: Channel
    state: ReceiptState
    attempts: int
    claimed_at: datetime
    settled_at: datetime | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """All rows of one release, read in one snapshot."""

    release: Release
    events: tuple[Event, ...]
    samples: tuple[Sample, ...]
    receipts: tuple[Receipt, ...]
    previous: Release | None


def new_id(application: str, version: str, environment: str, at: datetime, suffix: str) -> str:
    """Return an id that a person can read: hive-platform-1.0.0-local-20261124T182000Z-ab12.

    :param suffix: a few random characters, for two plans within one second.
    """
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{application}-{version.replace('+', '-')}-{environment}-{stamp}-{suffix}"


def check_names(application: str, version: str, environment: str, run_id: str) -> None:
    """Refuse what could not stand in an id, a label or a log line.

    :raises RefusedError: naming the one that does not fit.
    """
    for what, value, pattern, allowed in (
        ("application", application, NAME, "lower case letters, digits and hyphens, up to 63"),
        ("environment", environment, NAME, "lower case letters, digits and hyphens, up to 63"),
        ("version", version, VERSION, "letters, digits, dot, plus and hyphen, up to 63"),
        ("run id", run_id, RUN_ID, "1 to 250 characters without control characters"),
    ):
        if not pattern.fullmatch(value):
            raise RefusedError(f"The {what} cannot be recorded.", found=ascii(value)[:80], mend=f"give {allowed}.")
