"""What changes the ledger, each operation one transaction.

Order of locks, the same everywhere: the place (application and environment), then the release's row.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from slipway.errors import FencedError, RefusedError
from slipway.ledger import chain, reading, states
from slipway.ledger.models import (
    Event,
    Receipt,
    ReceiptState,
    Release,
    check_names,
    new_id,
)
from slipway.ledger.operation import Draft, Operation, Query, Refusal
from slipway.ledger.redaction import masked, refuse_secrets
from slipway.names import Channel, EventKind, Occasion, ReleaseState, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLAIM_S: Final = 60
"""A notification that was claimed and not settled for so long was lost with its sender, and may be claimed again."""

KIND_OF: Final[Mapping[ReleaseState, EventKind]] = {
    ReleaseState.DEPLOYED: EventKind.DEPLOYED,
    ReleaseState.MIGRATED: EventKind.MIGRATED,
    ReleaseState.MONITORED: EventKind.MONITORED,
    ReleaseState.PROMOTED: EventKind.PROMOTED,
}
"""Kinds of the events that tell of a new state, where it is not plain STATE_CHANGED. All have `from`, `to`, `epoch`."""

OWN_KEYS: Final = frozenset({"from", "to", "epoch"})


# --- the way in


def plan(
    application: str, environment: str, version: str, run_id: str, *, suffix: str, actor: str,
    details: Mapping[str, Any],
) -> Operation[Release]:  # fmt: skip
    """Write a release down without taking the lock, once a run."""
    check_names(application, version, environment, run_id)
    told = {"application": application, "version": version, "environment": environment, "run_id": run_id}
    draft = Draft(
        EventKind.PLANNED, actor, {**details, **told, "from": None, "to": ReleaseState.PLANNED.value, "epoch": 1}
    )
    yield from _lock_place(application, environment)
    known = yield from _of_run(application, environment, run_id)
    if known is not None:
        if known.version != version:
            raise RefusedError(
                f"Run {run_id} has already planned {known.title}.", found=f"version {version}", mend="start a new run."
            )
        return known
    yield from _not_promoted_yet(application, environment, version)
    now = yield from _now()
    release_id = new_id(application, version, environment, now, suffix)
    yield Query(
        "INSERT INTO ledger.releases (id, application, version, environment, run_id, state, created_at, updated_at,"
        " last_hash) VALUES (%s, %s, %s, %s, %s, 'PLANNED', %s, %s, %s)",
        (release_id, application, version, environment, run_id, now, now, chain.GENESIS),
    )
    release = yield from _locked(release_id)
    return (yield from _append(release, draft))


def acquire(
    application: str, environment: str, version: str, run_id: str, ttl: timedelta, *, suffix: str, actor: str,
    details: Mapping[str, Any],
) -> Operation[Release]:  # fmt: skip
    """Plan if that was not done, and take the lock. A run that has it gets its lease renewed."""
    planned = yield from plan(application, environment, version, run_id, suffix=suffix, actor=actor, details=details)
    release = yield from _locked(planned.id)
    if release.state in states.GOING_BACK and release.holds_lock:
        raise FencedError(
            f"{release.id} is being taken back ({release.state}); it cannot go on.", mend="let the rollback finish."
        )
    if release.state in states.ENDED:
        raise RefusedError(f"Run {run_id} has already ended: {release.id} is {release.state}.", mend="start a new run.")
    if release.holds_lock:
        return (yield from _set(release, lease=ttl))
    # Again, now that we have the lock: it may have been promoted between plan and acquire, by another run.
    yield from _not_promoted_yet(application, environment, version)
    yield from _place_is_free(release, "wait until it has ended, or take it back")
    previous = yield from reading.last_promoted(application, environment)
    release = yield from _set(release, lease=ttl, previous=previous.id if previous else None)
    return (
        yield from _append(
            release, Draft(EventKind.LEASED, actor, {"lease_s": ttl.total_seconds(), "previous": release.previous})
        )
    )


# --- going on


def renew(release_id: str, epoch: int, ttl: timedelta, *, actor: str) -> Operation[Release | Refusal]:
    """Promise to be back within `ttl` from now."""
    release = yield from _locked(release_id)
    if refusal := (yield from _fence(release, epoch, actor, "renew its lease")):
        return refusal
    return (yield from _set(release, lease=ttl))


def check(release_id: str, epoch: int) -> Operation[Release]:
    """Read the release again, immediately before acting on its behalf."""
    release = yield from reading.read(release_id)
    if reason := _not_holder(release, epoch):
        raise _fenced(release, "act", reason)
    return release


def advance(
    release_id: str, epoch: int, to: ReleaseState, *, actor: str, payload: Mapping[str, Any], ttl: timedelta | None
) -> Operation[Release | Refusal]:
    """Go on to the next state. A retry that finds itself there already changes nothing."""
    if to not in states.FORWARD:
        raise RefusedError(
            f"{release_id} cannot be advanced to {to}.", mend="use begin_rollback, finish_rollback or cancel."
        )
    if clash := sorted(OWN_KEYS & payload.keys()):
        raise RefusedError(f"The payload of a state change may not set {', '.join(clash)}.", mend="rename the key.")
    release = yield from _locked(release_id)
    if release.state is to and release.epoch == epoch:
        return release
    if refusal := (yield from _fence(release, epoch, actor, f"go on to {to}")):
        return refusal
    if not states.may_follow(release.state, to):
        raise RefusedError(
            f"{release.id} cannot go from {release.state} to {to}.",
            found=f"allowed: {', '.join(sorted(states.MAY_FOLLOW[release.state])) or 'nothing, it has ended'}",
            mend="run the phases in their order.",
        )
    return (yield from _change(release, to, Draft(KIND_OF.get(to, EventKind.STATE_CHANGED), actor, payload), lease=ttl))


def append(release_id: str, draft: Draft, *, epoch: int | None) -> Operation[Event | Refusal]:
    """Record that something happened; with a key only once."""
    release = yield from _locked(release_id)
    if epoch is not None and (refusal := (yield from _fence(release, epoch, draft.actor, f"record {draft.kind}"))):
        return refusal
    if draft.key is not None and (known := (yield from _by_key(release.id, draft.key))):
        return known
    release = yield from _append(release, draft)
    return (yield from _event(release.id, release.last_seq))


def record_sample(
    release_id: str, at: datetime, stage: str, numbers: Mapping[str, float | int | None]
) -> Operation[None]:
    """Keep the numbers of one poll; the first to record a moment wins, as two triggerers may run one trigger."""
    chain.moment(at)
    chain.canonical([stage, dict(numbers)])
    refuse_secrets(stage, "stage")
    yield Query(
        "INSERT INTO ledger.samples (release_id, at, stage, numbers) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (release_id, at, stage, chain.canonical(dict(numbers))),
    )


def record_verdict(
    release_id: str, *, at: datetime, stage: str, verdict: Verdict, rule: Rule | None, reasons: Sequence[str],
    numbers: Mapping[str, float | int | None], actor: str, epoch: int | None, key: str | None,
) -> Operation[Event | Refusal]:  # fmt: skip
    """Record a verdict with the digest of the samples of its stage that there were by then."""
    rows = yield Query(
        "SELECT release_id, at, stage, numbers::text FROM ledger.samples"
        " WHERE release_id = %s AND stage = %s AND at <= %s ORDER BY at",
        (release_id, stage, at),
    )
    samples = [reading.to_sample(row) for row in rows]
    payload = {
        "stage": stage, "verdict": verdict.value, "rule": rule.value if rule else None, "reasons": list(reasons),
        "numbers": dict(numbers), "samples": len(samples), "samples_digest": chain.digest(samples),
        "judged_at": chain.moment(at),
    }  # fmt: skip
    return (yield from append(release_id, Draft(EventKind.VERDICT, actor, payload, key), epoch=epoch))


# --- going back


def begin_rollback(
    release_id: str, *, actor: str, reason: str, ttl: timedelta, payload: Mapping[str, Any]
) -> Operation[Release]:
    """Decide against a release: raise its epoch, so that whoever carries it forward is fenced off.

    Called again it returns the release as it is. Only when the lease has run out, the one who went back is gone:
    then the caller takes over with an epoch of its own.
    """
    if clash := sorted((OWN_KEYS | {"reason"}) & payload.keys()):
        raise RefusedError(f"The payload of a rollback may not set {', '.join(clash)}.", mend="rename the key.")
    draft = Draft(EventKind.ROLLBACK_STARTED, actor, {**payload, "reason": reason})
    seen = yield from reading.read(release_id)
    yield from _lock_place(seen.application, seen.environment)
    release = yield from _locked(release_id)
    if release.state in states.TERMINAL:
        return release
    if release.state is ReleaseState.ROLLING_BACK:
        now = yield from _now()
        if release.lease_until is not None and release.lease_until > now:
            return release
        release = yield from _set(release, lease=ttl, epoch=release.epoch + 1)
        taken = {"epoch": release.epoch, "lease_s": ttl.total_seconds(), "reason": "the lease of the rollback ran out"}
        return (yield from _append(release, Draft(EventKind.LEASED, actor, taken)))
    if release.state is ReleaseState.PROMOTED:
        yield from _is_the_running_one(release)
        yield from _place_is_free(release, "let it end first")
    if not states.may_follow(release.state, ReleaseState.ROLLING_BACK):
        raise RefusedError(
            f"{release.id} is {release.state}: there is nothing to take back.", mend="cancel it instead."
        )
    release = yield from _set(release, epoch=release.epoch + 1)
    return (yield from _change(release, ReleaseState.ROLLING_BACK, draft, lease=ttl))


def finish_rollback(
    release_id: str, epoch: int, *, succeeded: bool, actor: str, payload: Mapping[str, Any]
) -> Operation[Release | Refusal]:
    """Write down that going back was proved, or that it was not and a person must look."""
    if clash := sorted(OWN_KEYS & payload.keys()):
        raise RefusedError(f"The payload of a rollback may not set {', '.join(clash)}.", mend="rename the key.")
    to = ReleaseState.ROLLED_BACK if succeeded else ReleaseState.ROLLBACK_FAILED
    kind = EventKind.ROLLBACK_FINISHED if succeeded else EventKind.ROLLBACK_FAILED
    release = yield from _locked(release_id)
    if release.state is to and release.epoch == epoch:
        return release
    if refusal := (yield from _fence(release, epoch, actor, "finish the rollback")):
        return refusal
    if not states.may_follow(release.state, to):
        raise RefusedError(f"{release.id} is {release.state}, not going back.", mend="begin the rollback first.")
    return (yield from _change(release, to, Draft(kind, actor, payload)))


def cancel(release_id: str, *, actor: str, reason: str) -> Operation[Release]:
    """Give a release up that has not begun to change the cluster, and free its lock."""
    draft = Draft(EventKind.STATE_CHANGED, actor, {"reason": reason})
    release = yield from _locked(release_id)
    if release.state is ReleaseState.CANCELLED:
        return release
    rows = yield Query(
        "SELECT seq FROM ledger.events WHERE release_id = %s AND kind = %s LIMIT 1",
        (release_id, EventKind.INTENDED.value),
    )
    if rows or release.state not in states.CANCELLABLE:
        raise RefusedError(
            f"{release.id} is {release.state} and cannot be cancelled.",
            found=f"event {rows[0]['seq']} says that it began to change the cluster" if rows else None,
            mend="take it back: slipway rollback.",
        )
    release = yield from _set(release, epoch=release.epoch + 1)
    return (yield from _change(release, ReleaseState.CANCELLED, draft))


# --- notifications


def claim_notification(release_id: str, occasion: Occasion, channel: Channel) -> Operation[bool]:
    """Say whether the caller is to send this notification: once, and again only if it failed or was lost."""
    rows = yield Query(
        "INSERT INTO ledger.receipts AS r (release_id, occasion, channel, state, attempts, claimed_at)"
        " VALUES (%s, %s, %s, 'claimed', 1, clock_timestamp())"
        " ON CONFLICT (release_id, occasion, channel) DO UPDATE"
        " SET state = 'claimed', attempts = r.attempts + 1, claimed_at = clock_timestamp(), settled_at = NULL,"
        "     detail = NULL"
        " WHERE r.state = 'failed' OR (r.state = 'claimed' AND r.claimed_at < clock_timestamp() - %s)"
        " RETURNING attempts",
        (release_id, occasion.value, channel.value, timedelta(seconds=CLAIM_S)),
    )
    return bool(rows)


def settle_receipt(
    release_id: str, occasion: Occasion, channel: Channel, *, delivered: bool, detail: str, actor: str
) -> Operation[Receipt]:
    """Write down what became of a notification, in the receipt and in the chain; what was delivered stays so.

    It may never have been claimed: an alert is sent whether or not the ledger answers.
    """
    detail = str(masked(detail))
    state = ReceiptState.DELIVERED if delivered else ReceiptState.FAILED
    release = yield from _locked(release_id)
    rows = yield Query(
        "INSERT INTO ledger.receipts AS r"
        " (release_id, occasion, channel, state, detail, attempts, claimed_at, settled_at)"
        " VALUES (%s, %s, %s, %s, %s, 1, clock_timestamp(), clock_timestamp())"
        " ON CONFLICT (release_id, occasion, channel) DO UPDATE"
        " SET state = excluded.state, detail = excluded.detail, settled_at = clock_timestamp()"
        " WHERE r.state <> 'delivered' RETURNING *",
        (release_id, occasion.value, channel.value, state.value, detail),
    )
    if not rows:
        rows = yield Query(
            "SELECT * FROM ledger.receipts WHERE release_id = %s AND occasion = %s AND channel = %s",
            (release_id, occasion.value, channel.value),
        )
        return reading.to_receipt(rows[0])
    receipt = reading.to_receipt(rows[0])
    told = {
        "occasion": occasion.value,
        "channel": channel.value,
        "delivered": delivered,
        "attempt": receipt.attempts,
        "detail": detail,
    }
    key = f"notified:{occasion}:{channel}:{receipt.attempts}:{state}"
    if not (yield from _by_key(release_id, key)):
        yield from _append(release, Draft(EventKind.NOTIFIED, actor, told, key))
    return receipt


# --- signs of life


def beat(name: str) -> Operation[None]:
    """Write down that somebody is at work now."""
    yield Query(
        "INSERT INTO ledger.heartbeats VALUES (%s, clock_timestamp())"
        " ON CONFLICT (name) DO UPDATE SET at = excluded.at",
        (name,),
    )


def silence(name: str) -> Operation[timedelta | None]:
    """Return how long ago somebody was at work, None when he never was."""
    rows = yield Query("SELECT clock_timestamp() - at AS silence FROM ledger.heartbeats WHERE name = %s", (name,))
    return rows[0]["silence"] if rows else None


# --- parts


def _now() -> Operation[datetime]:
    # The clock of the database: one for all machines. Asked after the lock, so that times rise with numbers.
    rows = yield Query("SELECT clock_timestamp() AS now")
    now: datetime = rows[0]["now"]
    return now


def _lock_place(application: str, environment: str) -> Operation[None]:
    # Two that want the same place queue here and see each other's result; the unique index is the last line.
    yield Query("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"slipway {application} {environment}",))


def _locked(release_id: str) -> Operation[Release]:
    rows = yield Query("SELECT * FROM ledger.releases WHERE id = %s FOR UPDATE", (release_id,))
    return reading.only(rows, release_id)


def _of_run(application: str, environment: str, run_id: str) -> Operation[Release | None]:
    rows = yield Query(
        "SELECT * FROM ledger.releases WHERE application = %s AND environment = %s AND run_id = %s",
        (application, environment, run_id),
    )
    return reading.to_release(rows[0]) if rows else None


def _not_promoted_yet(application: str, environment: str, version: str) -> Operation[None]:
    rows = yield Query(
        "SELECT * FROM ledger.releases WHERE application = %s AND environment = %s AND version = %s"
        " AND state = 'PROMOTED' LIMIT 1",
        (application, environment, version),
    )
    if rows:
        known = reading.to_release(rows[0])
        raise RefusedError(
            f"{known.title} was already released.",
            found=f"{known.id}, promoted {known.ended_at:%Y-%m-%d %H:%M} UTC",
            mend="give the change a version of its own.",
        )


def _place_is_free(release: Release, mend: str) -> Operation[None]:
    other = yield from reading.find(release.application, release.environment)
    if other is not None and other.id != release.id:
        raise RefusedError(
            f"Another release of {release.application} is active in {release.environment}: {other.id}.",
            found=f"version {other.version}, {other.state}: {states.MEANING[other.state]}",
            mend=f"{mend}.",
        )


def _is_the_running_one(release: Release) -> Operation[None]:
    newest = yield from reading.last_promoted(release.application, release.environment)
    if newest is not None and newest.id != release.id:
        raise RefusedError(
            f"{release.id} is not what runs in {release.environment}.",
            found=f"{newest.id} was promoted after it",
            mend=f"take {newest.id} back, or release a new version.",
        )


def _not_holder(release: Release, epoch: int) -> str | None:
    if release.epoch != epoch:
        return f"epoch {release.epoch}, yours is {epoch}"
    if not release.holds_lock:
        return "it holds no lock"
    return None


def _fenced(release: Release, wanted: str, reason: str) -> FencedError:
    return FencedError(
        f"You may not {wanted} for {release.id} any more: it is {release.state}.",
        found=reason,
        mend="stop at once and change nothing; whoever raised the epoch finishes it.",
    )


def _fence(release: Release, epoch: int, actor: str, wanted: str) -> Operation[Refusal | None]:
    reason = _not_holder(release, epoch)
    if reason is None:
        return None
    key = f"fenced:{actor}:{epoch}:{wanted}"
    if not (yield from _by_key(release.id, key)):
        told = {"wanted": wanted, "epoch_held": epoch, "epoch": release.epoch, "state": release.state.value}
        yield from _append(release, Draft(EventKind.FENCED, actor, told, key))
    return Refusal(_fenced(release, wanted, reason))


def _by_key(release_id: str, key: str) -> Operation[Event | None]:
    rows = yield Query(f"{reading.EVENTS} WHERE release_id = %s AND key = %s", (release_id, key))
    return reading.to_event(rows[0]) if rows else None


def _event(release_id: str, seq: int) -> Operation[Event]:
    rows = yield Query(f"{reading.EVENTS} WHERE release_id = %s AND seq = %s", (release_id, seq))
    return reading.to_event(rows[0])


def _append(release: Release, draft: Draft) -> Operation[Release]:
    """Add an event; the caller has locked the release's row."""
    at = draft.at or (yield from _now())
    seq, payload = release.last_seq + 1, chain.canonical(dict(draft.payload))
    linked = chain.link(
        release.last_hash, release_id=release.id, seq=seq, at=at, actor=draft.actor, kind=draft.kind,
        payload=draft.payload, key=draft.key,
    )  # fmt: skip
    yield Query(
        "INSERT INTO ledger.events (release_id, seq, at, actor, kind, payload, key, hash)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (release.id, seq, at, draft.actor, draft.kind.value, payload, draft.key, linked),
    )
    rows = yield Query(
        "UPDATE ledger.releases SET last_seq = %s, last_hash = %s, updated_at = clock_timestamp() WHERE id = %s"
        " RETURNING *",
        (seq, linked, release.id),
    )
    return reading.only(rows, release.id)


def _change(release: Release, to: ReleaseState, draft: Draft, *, lease: timedelta | None = None) -> Operation[Release]:
    """Set a new state and tell of it; ended states give the lock back."""
    told = {**draft.payload, "from": release.state.value, "to": to.value, "epoch": release.epoch}
    yield Query(
        "UPDATE ledger.releases SET state = %s,"
        " lease_until = CASE WHEN %s THEN NULL ELSE coalesce(clock_timestamp() + %s::interval, lease_until) END,"
        " ended_at = CASE WHEN %s THEN clock_timestamp() END WHERE id = %s",
        (to.value, to in states.ENDED, lease, to in states.ENDED, release.id),
    )
    return (yield from _append(release, Draft(draft.kind, draft.actor, told, draft.key, draft.at)))


def _set(
    release: Release, *, lease: timedelta | None = None, epoch: int | None = None, previous: str | None = None
) -> Operation[Release]:
    rows = yield Query(
        "UPDATE ledger.releases SET lease_until = coalesce(clock_timestamp() + %s::interval, lease_until),"
        " epoch = coalesce(%s, epoch), previous = coalesce(%s, previous), updated_at = clock_timestamp()"
        " WHERE id = %s RETURNING *",
        (lease, epoch, previous, release.id),
    )
    return reading.only(rows, release.id)
