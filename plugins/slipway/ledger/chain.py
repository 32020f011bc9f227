"""The hash chain over the events of one release: a change anywhere shows, and shows where.

Each hash covers the hash before it and the canonical JSON of its event. The row of the release keeps number and
hash of the newest event, so events cut off at the end show as well. Who may write to every table could still
write a whole new chain; against that, dossiers carry the head hash out of the database.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from slipway.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from slipway.ledger.models import Event, Sample

GENESIS: Final = "0" * 64
"""What stands before the first event."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place at which a chain does not hold.

    :param seq: number of the event.
    :param reason: what is wrong there, as the rest of a sentence about it.
    """

    seq: int
    reason: str

    def __str__(self) -> str:
        return f"event {self.seq} {self.reason}"


def canonical(value: object) -> str:
    """Return the one way to write a value as JSON: ASCII, keys sorted, no spaces.

    :raises RefusedError: the value is not JSON (a NaN, a date, a key that is not text), or holds half of a
        surrogate pair or a NUL, which PostgreSQL could not give back.
    """
    try:
        _check(value)
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RefusedError(
            "The payload of an event cannot be written as JSON; nothing was written.",
            found=type(error).__name__ if isinstance(error, RecursionError) else str(error),
            mend="give texts, finite numbers, booleans, nulls, lists and objects with text keys.",
        ) from None


def moment(at: datetime) -> str:
    """Return a time in UTC as ISO 8601 with microseconds.

    :raises RefusedError: the time has no zone.
    """
    if at.tzinfo is None:
        raise RefusedError("A time without a zone cannot be recorded.", found=at.isoformat(), mend="give it in UTC.")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def link(
    before: str, *, release_id: str, seq: int, at: datetime, actor: str, kind: str, payload: Mapping[str, Any],
    key: str | None,
) -> str:  # fmt: skip
    """Return the hash of an event.

    :param before: hash of the event before, GENESIS for the first.
    :param key: what makes the event unique within its release, or None.
    """
    body = canonical([release_id, seq, moment(at), actor, kind, key, dict(payload)])
    return hashlib.sha256(f"{before}\n{body}".encode()).hexdigest()


def verify(events: Sequence[Event], head: tuple[int, str] | None = None) -> Broken | None:
    """Return the first place at which the chain does not hold, or None.

    :param events: all events of one release, in order.
    :param head: number and hash that the row of the release has for its newest event.
    """
    before = GENESIS
    for expected, event in enumerate(events, start=1):
        if event.seq != expected:
            return Broken(expected, "is missing")
        if event.release_id != events[0].release_id:
            return Broken(expected, "belongs to another release")
        if event.hash != hash_of(event, before):
            return Broken(expected, "was changed, or an event before it was")
        before = event.hash
    if head is not None and head[0] > len(events):
        return Broken(len(events) + 1, "is missing")
    if head is not None and head != (len(events), before):
        return Broken(len(events), "is not the newest one that the release knows")
    return None


def hash_of(event: Event, before: str) -> str:
    """Return the hash that an event must have behind another."""
    return link(
        before, release_id=event.release_id, seq=event.seq, at=event.at, actor=event.actor, kind=event.kind,
        payload=event.payload, key=event.key,
    )  # fmt: skip


def digest(samples: Iterable[Sample]) -> str:
    """Return the SHA-256 over samples, in order: what a verdict says it was made of."""
    whole = hashlib.sha256()
    for sample in samples:
        whole.update(canonical([moment(sample.at), sample.stage, dict(sample.numbers)]).encode() + b"\n")
    return whole.hexdigest()


def _check(value: object) -> None:
    """Raise for what json.dumps would take and not give back: keys that become text, halves of characters."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key of the type {type(key).__name__}")
            _check(key)
            _check(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that is not finite")
    elif isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text with a NUL character")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("a text with half of a surrogate pair") from None
