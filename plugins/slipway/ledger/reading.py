"""What can be read from the ledger, and its rows as their types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from slipway.errors import RefusedError
from slipway.ledger.models import Event, Receipt, ReceiptState, Record, Release, Sample
from slipway.ledger.operation import Operation, Query, Row
from slipway.names import Channel, EventKind, Occasion, ReleaseState

if TYPE_CHECKING:
    from datetime import datetime

EVENTS: Final = "SELECT release_id, seq, at, actor, kind, payload::text, key, hash FROM ledger.events"


def read(release_id: str) -> Operation[Release]:
    """Return one release."""
    rows = yield Query("SELECT * FROM ledger.releases WHERE id = %s", (release_id,))
    return only(rows, release_id)


def find(application: str, environment: str) -> Operation[Release | None]:
    """Return the release that holds the lock, or None."""
    rows = yield Query(
        "SELECT * FROM ledger.releases WHERE application = %s AND environment = %s AND lease_until IS NOT NULL",
        (application, environment),
    )
    return to_release(rows[0]) if rows else None


def last_promoted(application: str, environment: str) -> Operation[Release | None]:
    """Return the release that is the stable version now, or None."""
    rows = yield Query(
        "SELECT * FROM ledger.releases WHERE application = %s AND environment = %s AND state = 'PROMOTED'"
        " ORDER BY ended_at DESC, id DESC LIMIT 1",
        (application, environment),
    )
    return to_release(rows[0]) if rows else None


def recent(application: str | None, environment: str | None, limit: int) -> Operation[list[Release]]:
    """Return the newest releases, newest first."""
    rows = yield Query(
        "SELECT * FROM ledger.releases WHERE coalesce(application = %s, true) AND coalesce(environment = %s, true)"
        " ORDER BY created_at DESC, id DESC LIMIT %s",
        (application, environment, limit),
    )
    return [to_release(row) for row in rows]


def active() -> Operation[list[Release]]:
    """Return all releases that hold a lock, oldest first."""
    rows = yield Query("SELECT * FROM ledger.releases WHERE lease_until IS NOT NULL ORDER BY created_at, id")
    return [to_release(row) for row in rows]


def planned() -> Operation[list[Release]]:
    """Return all releases that were planned and have no lock, oldest first."""
    rows = yield Query(
        "SELECT * FROM ledger.releases WHERE state = 'PLANNED' AND lease_until IS NULL ORDER BY created_at, id"
    )
    return [to_release(row) for row in rows]


def orphans(now: datetime | None) -> Operation[list[Release]]:
    """Return the releases whose holder did not come back; not those that already wait for a person."""
    rows = yield Query(
        "SELECT * FROM ledger.releases WHERE lease_until < coalesce(%s, clock_timestamp())"
        " AND state <> 'ROLLBACK_FAILED' ORDER BY lease_until, id",
        (now,),
    )
    return [to_release(row) for row in rows]


def events(release_id: str) -> Operation[list[Event]]:
    """Return all events of a release, oldest first."""
    rows = yield Query(f"{EVENTS} WHERE release_id = %s ORDER BY seq", (release_id,))
    return [to_event(row) for row in rows]


def samples(release_id: str) -> Operation[list[Sample]]:
    """Return all samples of a release, oldest first."""
    rows = yield Query(
        "SELECT release_id, at, stage, numbers::text FROM ledger.samples WHERE release_id = %s ORDER BY at, stage",
        (release_id,),
    )
    return [to_sample(row) for row in rows]


def receipts(release_id: str) -> Operation[list[Receipt]]:
    """Return all receipts of a release."""
    rows = yield Query(
        "SELECT * FROM ledger.receipts WHERE release_id = %s ORDER BY claimed_at, occasion, channel", (release_id,)
    )
    return [to_receipt(row) for row in rows]


def record(release_id: str) -> Operation[Record]:
    """Return everything about a release as of one moment."""
    yield Query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    release = yield from read(release_id)
    return Record(
        release=release,
        events=tuple((yield from events(release_id))),
        samples=tuple((yield from samples(release_id))),
        receipts=tuple((yield from receipts(release_id))),
        previous=(yield from read(release.previous)) if release.previous else None,
    )


def to_release(row: Row) -> Release:
    """Return a row of `releases` as its type."""
    return Release(**{**row, "state": ReleaseState(row["state"])})


def to_event(row: Row) -> Event:
    """Return a row of `events` as its type; the payload comes as text."""
    return Event(**{**row, "kind": EventKind(row["kind"]), "payload": json.loads(row["payload"])})


def to_sample(row: Row) -> Sample:
    """Return a row of `samples` as its type; the numbers come as text."""
    return Sample(**{**row, "numbers": json.loads(row["numbers"])})


def to_receipt(row: Row) -> Receipt:
    """Return a row of `receipts` as its type."""
    return Receipt(**{
        **row, "occasion": Occasion(row["occasion"]), "channel": Channel(row["channel"]),
        "state": ReceiptState(row["state"]),
    })  # fmt: skip


def only(rows: list[Row], release_id: str) -> Release:
    """Return the one release that was asked for.

    :raises RefusedError: there is none.
    """
    if not rows:
        raise RefusedError(f"The ledger knows no release {release_id}.", mend="look it up: slipway status.")
    return to_release(rows[0])
