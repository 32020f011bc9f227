"""The life of releases in the ledger, one call after the other."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from slipway.errors import FencedError, LedgerError, RefusedError
from slipway.ledger import chain
from slipway.ledger.store import Store, Timeouts
from slipway.names import Channel, EventKind, Occasion, ReleaseState, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.ledger.models import Release

TTL = timedelta(minutes=5)
PAST = timedelta(seconds=-1)
TO_BAKING = (
    ReleaseState.BUILT,
    ReleaseState.DEPLOYED,
    ReleaseState.MIGRATED,
    ReleaseState.MONITORED,
    ReleaseState.CANARY,
    ReleaseState.BAKING,
)


def carried(store: Store, place: str, version: str = "1.0.0", to: ReleaseState = ReleaseState.BAKING) -> Release:
    release = store.acquire(place, "local", version, f"run-{version}", TTL)
    for state in TO_BAKING[: TO_BAKING.index(to) + 1]:
        release = store.advance(release.id, release.epoch, state)
    return release


def promoted(store: Store, place: str, version: str = "1.0.0") -> Release:
    release = carried(store, place, version)
    return store.advance(release.id, release.epoch, ReleaseState.PROMOTED)


def kinds(store: Store, release: Release) -> list[EventKind]:
    return [event.kind for event in store.events(release.id)]


def holds(store: Store, release: Release) -> bool:
    now = store.release(release.id)
    return chain.verify(store.events(release.id), (now.last_seq, now.last_hash)) is None


def test_gives_a_release_an_id_that_says_what_it_is(store: Store, place: str) -> None:
    release = store.acquire(place, "local", "1.0.0+b7", "run-1", TTL, actor="ada", details={"change_summary": "x"})
    assert re.fullmatch(rf"{place}-1\.0\.0-b7-local-\d{{8}}T\d{{6}}Z-[0-9a-f]{{4}}", release.id)
    assert (release.state, release.epoch, release.previous, release.holds_lock) == (ReleaseState.PLANNED, 1, None, True)
    first, second = store.events(release.id)
    assert (first.kind, first.actor, first.payload["change_summary"]) == (EventKind.PLANNED, "ada", "x")
    assert (second.kind, dict(second.payload)) == (EventKind.LEASED, {"lease_s": 300.0, "previous": None})


def test_the_same_run_gets_the_same_release_and_a_new_lease(store: Store, place: str) -> None:
    first = store.acquire(place, "local", "1.0.0", "run-1", TTL)
    again = store.acquire(place, "local", "1.0.0", "run-1", TTL * 2)
    assert again.id == first.id
    assert again.lease_until is not None
    assert first.lease_until is not None
    assert again.lease_until - first.lease_until > TTL * 0.9
    assert kinds(store, first) == [EventKind.PLANNED, EventKind.LEASED]


def test_a_plan_holds_no_lock_until_it_is_acquired(store: Store, place: str) -> None:
    planned = store.plan(place, "local", "1.0.0", "run-1")
    assert not planned.holds_lock
    assert store.find(place, "local") is None
    assert store.acquire(place, "local", "1.0.0", "run-1", TTL).id == planned.id
    found = store.find(place, "local")
    assert found is not None
    assert found.id == planned.id


def test_refuses_a_second_active_release_and_names_the_first(store: Store, place: str) -> None:
    first = carried(store, place, to=ReleaseState.CANARY)
    with pytest.raises(RefusedError) as refused:
        store.acquire(place, "local", "1.0.1", "run-2", TTL)
    assert str(refused.value) == (
        f"Another release of {place} is active in local: {first.id}.\n"
        "  found  version 1.0.0, CANARY: A part of the users is served by the new version, and it is watched.\n"
        "  do     wait until it has ended, or take it back."
    )
    assert [one.id for one in store.recent(place)] == [first.id], "a refused release leaves no row"
    assert store.acquire(place, "staging", "1.0.1", "run-2", TTL).holds_lock, "another environment is another lock"


def test_the_index_refuses_a_second_lock_whatever_the_code_does(store: Store, place: str, database: str) -> None:
    carried(store, place, to=ReleaseState.CANARY)
    second = store.plan(place, "local", "1.0.1", "run-2")
    with psycopg.connect(database) as direct, pytest.raises(psycopg.errors.UniqueViolation, match="one_active_release"):
        direct.execute("UPDATE ledger.releases SET lease_until = now() WHERE id = %s", (second.id,))


def test_refuses_a_version_that_is_promoted_and_takes_one_that_was_rolled_back(store: Store, place: str) -> None:
    release = promoted(store, place)
    with pytest.raises(RefusedError) as refused:
        store.acquire(place, "local", "1.0.0", "run-2", TTL)
    assert str(refused.value) == (
        f"{place} 1.0.0 in local was already released.\n"
        f"  found  {release.id}, promoted {release.ended_at:%Y-%m-%d %H:%M} UTC\n"
        "  do     give the change a version of its own."
    )
    going = store.begin_rollback(release.id, "ada", "errors")
    store.finish_rollback(release.id, going.epoch, succeeded=True)
    assert store.acquire(place, "local", "1.0.0", "run-3", TTL).state is ReleaseState.PLANNED


def test_refuses_to_give_a_run_another_version(store: Store, place: str) -> None:
    store.plan(place, "local", "1.0.0", "run-1")
    with pytest.raises(RefusedError) as refused:
        store.plan(place, "local", "1.0.1", "run-1")
    assert str(refused.value) == (
        f"Run run-1 has already planned {place} 1.0.0 in local.\n  found  version 1.0.1\n  do     start a new run."
    )


def test_an_ended_run_cannot_begin_again(store: Store, place: str) -> None:
    release = promoted(store, place)
    with pytest.raises(RefusedError, match=f"Run run-1.0.0 has already ended: {release.id} is PROMOTED"):
        store.acquire(place, "local", "1.0.0", "run-1.0.0", TTL)


def test_a_run_whose_release_goes_back_is_fenced_off(store: Store, place: str) -> None:
    release = carried(store, place, to=ReleaseState.CANARY)
    store.begin_rollback(release.id, "watchdog", "lost")
    with pytest.raises(FencedError, match="is being taken back"):
        store.acquire(place, "local", "1.0.0", "run-1.0.0", TTL)


def test_goes_through_all_phases_and_frees_the_lock(store: Store, place: str) -> None:
    release = promoted(store, place)
    assert (release.state, release.lease_until) == (ReleaseState.PROMOTED, None)
    assert release.ended_at is not None
    assert kinds(store, release) == [
        EventKind.PLANNED, EventKind.LEASED, EventKind.STATE_CHANGED, EventKind.DEPLOYED, EventKind.MIGRATED,
        EventKind.MONITORED, EventKind.STATE_CHANGED, EventKind.STATE_CHANGED, EventKind.PROMOTED,
    ]  # fmt: skip
    last = store.events(release.id)[-1]
    assert dict(last.payload) == {"from": "BAKING", "to": "PROMOTED", "epoch": 1}
    assert holds(store, release)
    after = store.acquire(place, "local", "1.1.0", "run-2", TTL)
    assert after.previous == release.id
    stable = store.last_promoted(place, "local")
    assert stable is not None
    assert stable.id == release.id


def test_advance_is_repeated_without_a_second_event(store: Store, place: str) -> None:
    release = store.acquire(place, "local", "1.0.0", "run-1", TTL)
    once = store.advance(release.id, 1, ReleaseState.BUILT)
    assert store.advance(release.id, 1, ReleaseState.BUILT) == once


def test_advance_refuses_what_may_not_follow(store: Store, place: str) -> None:
    release = store.acquire(place, "local", "1.0.0", "run-1", TTL)
    with pytest.raises(RefusedError) as refused:
        store.advance(release.id, 1, ReleaseState.CANARY)
    assert str(refused.value) == (
        f"{release.id} cannot go from PLANNED to CANARY.\n"
        "  found  allowed: BUILT, CANCELLED\n"
        "  do     run the phases in their order."
    )
    with pytest.raises(RefusedError, match="use begin_rollback"):
        store.advance(release.id, 1, ReleaseState.ROLLED_BACK)
    with pytest.raises(RefusedError, match="may not set epoch, from"):
        store.advance(release.id, 1, ReleaseState.BUILT, payload={"from": "x", "epoch": 2})


def test_a_wrong_epoch_is_fenced_off_and_recorded_once(store: Store, place: str) -> None:
    release = carried(store, place, to=ReleaseState.CANARY)
    going = store.begin_rollback(release.id, "trigger", "20 % errors")
    assert (going.state, going.epoch) == (ReleaseState.ROLLING_BACK, 2)
    for _ in range(2):
        with pytest.raises(FencedError) as fenced:
            store.advance(release.id, 1, ReleaseState.BAKING, actor="task-7")
    assert str(fenced.value) == (
        f"You may not go on to BAKING for {release.id} any more: it is ROLLING_BACK.\n"
        "  found  epoch 2, yours is 1\n"
        "  do     stop at once and change nothing; whoever raised the epoch finishes it."
    )
    with pytest.raises(FencedError):
        store.renew(release.id, 1, TTL)
    with pytest.raises(FencedError):
        store.check(release.id, 1)
    with pytest.raises(FencedError):
        store.append(release.id, EventKind.NOTED, {}, epoch=1)
    assert store.check(release.id, 2).state is ReleaseState.ROLLING_BACK
    marks = [event for event in store.events(release.id) if event.kind is EventKind.FENCED]
    assert [(mark.actor, mark.payload["wanted"]) for mark in marks] == [
        ("task-7", "go on to BAKING"), ("slipway", "renew its lease"), ("slipway", "record noted"),
    ]  # fmt: skip
    assert store.release(release.id).state is ReleaseState.ROLLING_BACK
    assert holds(store, release)


def test_an_ended_release_lets_nobody_act(store: Store, place: str) -> None:
    release = promoted(store, place)
    with pytest.raises(FencedError, match="it holds no lock"):
        store.check(release.id, release.epoch)


def test_going_back_is_begun_once_however_often_it_is_asked_for(store: Store, place: str) -> None:
    release = carried(store, place, to=ReleaseState.CANARY)
    first = store.begin_rollback(release.id, "trigger", "errors")
    assert store.begin_rollback(release.id, "settle", "run failed") == first
    done = store.finish_rollback(release.id, 2, succeeded=True, payload={"duration_s": 7.5})
    assert (done.state, done.lease_until) == (ReleaseState.ROLLED_BACK, None)
    assert store.finish_rollback(release.id, 2, succeeded=True) == done
    assert store.begin_rollback(release.id, "watchdog", "late") == done
    assert kinds(store, release)[-2:] == [EventKind.ROLLBACK_STARTED, EventKind.ROLLBACK_FINISHED]
    assert store.find(place, "local") is None


def test_a_rollback_whose_holder_is_gone_is_taken_over(store: Store, place: str) -> None:
    release = carried(store, place, to=ReleaseState.CANARY)
    store.begin_rollback(release.id, "settle", "errors", ttl=PAST)
    taken = store.begin_rollback(release.id, "watchdog", "lease ran out")
    assert (taken.state, taken.epoch) == (ReleaseState.ROLLING_BACK, 3)
    with pytest.raises(FencedError):
        store.finish_rollback(release.id, 2, succeeded=True)
    assert store.finish_rollback(release.id, 3, succeeded=True).state is ReleaseState.ROLLED_BACK


def test_a_failed_rollback_keeps_the_lock_and_can_be_tried_again(store: Store, place: str) -> None:
    release = carried(store, place, to=ReleaseState.CANARY)
    store.begin_rollback(release.id, "settle", "errors")
    failed = store.finish_rollback(release.id, 2, succeeded=False, payload={"reason": "cluster away"})
    assert (failed.state, failed.holds_lock) == (ReleaseState.ROLLBACK_FAILED, True)
    with pytest.raises(RefusedError, match="A person must look now"):
        store.acquire(place, "local", "1.0.1", "run-2", TTL)
    again = store.begin_rollback(release.id, "ada", "cluster is back")
    assert (again.state, again.epoch) == (ReleaseState.ROLLING_BACK, 3)


def test_only_what_runs_can_be_taken_back_after_its_promotion(store: Store, place: str) -> None:
    old, new = promoted(store, place, "1.0.0"), promoted(store, place, "1.1.0")
    with pytest.raises(RefusedError) as refused:
        store.begin_rollback(old.id, "ada", "bug")
    assert str(refused.value) == (
        f"{old.id} is not what runs in local.\n"
        f"  found  {new.id} was promoted after it\n"
        f"  do     take {new.id} back, or release a new version."
    )
    going = store.begin_rollback(new.id, "ada", "bug")
    assert (going.state, going.epoch, going.holds_lock, going.ended_at) == (ReleaseState.ROLLING_BACK, 2, True, None)
    store.finish_rollback(new.id, 2, succeeded=True)
    stable = store.last_promoted(place, "local")
    assert stable is not None
    assert stable.id == old.id


def test_a_promoted_release_is_not_taken_back_under_an_active_one(store: Store, place: str) -> None:
    release = promoted(store, place)
    active = store.acquire(place, "local", "1.1.0", "run-2", TTL)
    with pytest.raises(RefusedError, match=active.id):
        store.begin_rollback(release.id, "ada", "bug")
    assert store.release(release.id).state is ReleaseState.PROMOTED


def test_cancels_what_has_touched_nothing_and_refuses_the_rest(store: Store, place: str) -> None:
    first = carried(store, place, to=ReleaseState.BUILT)
    done = store.cancel(first.id, "ada", "changed my mind")
    assert (done.state, done.epoch, done.holds_lock) == (ReleaseState.CANCELLED, 2, False)
    assert store.cancel(first.id, "ada", "again") == done
    assert dict(store.events(first.id)[-1].payload) == {
        "reason": "changed my mind", "from": "BUILT", "to": "CANCELLED", "epoch": 2,
    }  # fmt: skip
    second = carried(store, place, "1.0.1", to=ReleaseState.BUILT)
    store.append(second.id, EventKind.INTENDED, {"what": "helm upgrade"})
    with pytest.raises(RefusedError) as refused:
        store.cancel(second.id, "ada", "no")
    assert str(refused.value) == (
        f"{second.id} is BUILT and cannot be cancelled.\n"
        "  found  event 4 says that it began to change the cluster\n"
        "  do     take it back: slipway rollback."
    )


def test_nothing_to_take_back_before_anything_was_built(store: Store, place: str) -> None:
    release = store.acquire(place, "local", "1.0.0", "run-1", TTL)
    with pytest.raises(RefusedError, match="is PLANNED: there is nothing to take back"):
        store.begin_rollback(release.id, "settle", "failed")
    assert store.release(release.id).epoch == 1


def test_an_event_with_a_key_is_recorded_once(store: Store, place: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run-1")
    first = store.append(release.id, EventKind.IMAGE_BUILT, {"image": "backend"}, key="image:backend")
    again = store.append(release.id, EventKind.IMAGE_BUILT, {"image": "other"}, key="image:backend")
    assert again == first
    assert store.release(release.id).last_seq == first.seq


def test_payloads_come_back_as_they_went(store: Store, place: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run-1")
    payload = {"text": "'; DROP TABLE x; -- <b>{{ 7*7 }}</b> 变更 \u2028 %s", "big": 2**70, "small": 1e-300, "one": 1.0,
               "none": None, "list": [True, [], {}], "é": "\x07"}  # fmt: skip
    event = store.append(release.id, EventKind.NOTED, payload, actor="Zoë")
    assert store.events(release.id)[-1] == event
    assert dict(event.payload) == payload
    assert holds(store, release)


def test_no_secret_is_written_nor_shown(store: Store, place: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run-1")
    for payload in ({"db": {"password": "hunter2"}}, {"error": "postgresql://u:hunter2@h/d refused"}):
        with pytest.raises(RefusedError) as refused:
            store.append(release.id, EventKind.NOTED, payload)
        assert "hunter2" not in repr(refused.value) + str(refused.value)
    with pytest.raises(RefusedError, match="nothing was written"):
        store.plan(place, "local", "1.0.0", "run-2", details={"api_token": "hunter2"})
    assert store.release(release.id).last_seq == 1
    assert len(store.recent(place)) == 1


def test_a_sample_is_kept_once_and_sealed_by_the_verdict(store: Store, place: str) -> None:
    release = carried(store, place, to=ReleaseState.CANARY)
    start = datetime(2026, 11, 24, 18, 20, tzinfo=UTC)
    for second in (0, 5, 10):
        numbers = {"canary_requests": second, "canary_p95_s": float("nan") if second == 0 else 0.2}
        store.record_sample(release.id, start + timedelta(seconds=second), "canary-10", numbers)
    store.record_sample(release.id, start, "canary-10", {"canary_requests": 99})
    samples = store.samples(release.id)
    assert [dict(sample.numbers) for sample in samples] == [
        {"canary_requests": 0, "canary_p95_s": None},
        {"canary_requests": 5, "canary_p95_s": 0.2},
        {"canary_requests": 10, "canary_p95_s": 0.2},
    ]
    event = store.record_verdict(
        release.id, at=start + timedelta(seconds=5), stage="canary-10", verdict=Verdict.FAIL,
        rule=Rule.ERROR_RATE, reasons=["20 % > 5 %"], numbers={"canary_requests": 5}, epoch=1,
    )  # fmt: skip
    assert (event.payload["samples"], event.payload["samples_digest"]) == (2, chain.digest(samples[:2]))


def test_a_notification_is_claimed_once_until_it_fails(store: Store, place: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run-1")
    ask = (release.id, Occasion.ABORTED, Channel.SLACK)
    assert [store.claim_notification(*ask), store.claim_notification(*ask)] == [True, False]
    store.fail_notification(*ask, "HTTP 503")
    assert [store.claim_notification(*ask), store.claim_notification(*ask)] == [True, False]
    store.confirm_notification(*ask, "message 17")
    store.fail_notification(*ask, "what was delivered stays delivered")
    (receipt,) = store.receipts(release.id)
    assert (receipt.attempts, receipt.state, receipt.detail) == (2, "delivered", "message 17")
    assert not store.claim_notification(*ask)
    assert store.claim_notification(release.id, Occasion.ABORTED, Channel.EMAIL)
    told = [event.payload["delivered"] for event in store.events(release.id) if event.kind is EventKind.NOTIFIED]
    assert told == [False, True]


def test_what_was_sent_without_a_claim_has_a_receipt_without_secrets(store: Store, place: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run-1")
    store.fail_notification(release.id, Occasion.STARTED, Channel.SLACK, "no answer of https://u:hunter2@chat/x")
    (receipt,) = store.receipts(release.id)
    assert (receipt.state, receipt.detail) == ("failed", "no answer of ***chat/x")
    assert store.claim_notification(release.id, Occasion.STARTED, Channel.SLACK)


def test_a_claim_whose_sender_died_is_given_again(store: Store, place: str, database: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run-1")
    assert store.claim_notification(release.id, Occasion.STARTED, Channel.EMAIL)
    with psycopg.connect(database) as direct:
        direct.execute(
            "UPDATE ledger.receipts SET claimed_at = claimed_at - interval '61 s' WHERE release_id = %s", (release.id,)
        )
    assert store.claim_notification(release.id, Occasion.STARTED, Channel.EMAIL)


def test_the_watchdog_sees_who_did_not_come_back(store: Store, place: str) -> None:
    lost = store.acquire(place, "local", "1.0.0", "run-1", PAST)
    waiting = carried(store, f"{place}-b", to=ReleaseState.CANARY)
    store.begin_rollback(waiting.id, "ada", "x", ttl=PAST)
    store.finish_rollback(waiting.id, 2, succeeded=False)
    healthy = store.acquire(f"{place}-c", "local", "1.0.0", "run-1", TTL)
    planned = store.plan(f"{place}-d", "local", "1.0.0", "run-1")
    orphans = [release.id for release in store.orphans()]
    assert lost.id in orphans
    assert not {waiting.id, healthy.id, planned.id} & set(orphans)
    later = [release.id for release in store.orphans(datetime.now(UTC) + TTL * 2)]
    assert {lost.id, healthy.id} <= set(later)
    held = {release.id for release in store.active()}
    assert {lost.id, waiting.id, healthy.id} <= held
    assert planned.id not in held
    assert planned.id in {release.id for release in store.planned()}
    assert not held & {release.id for release in store.planned()}
    store.cancel(planned.id, "ada", "rejected")
    assert planned.id not in {release.id for release in store.planned()}


def test_it_knows_who_was_at_work_and_how_long_ago(store: Store, database: str) -> None:
    assert store.silence("watchdog") is None
    store.beat("watchdog")
    with psycopg.connect(database) as direct:
        direct.execute("UPDATE ledger.heartbeats SET at = at - interval '1 hour'")
    silence = store.silence("watchdog")
    assert silence is not None
    assert timedelta(hours=1) <= silence < timedelta(hours=1, minutes=1)
    store.beat("watchdog")
    assert (store.silence("watchdog") or TTL) < timedelta(minutes=1)


def test_an_unknown_release_is_named(store: Store) -> None:
    with pytest.raises(RefusedError) as refused:
        store.release("no-such")
    assert str(refused.value) == "The ledger knows no release no-such.\n  do     look it up: slipway status."


def test_the_record_holds_everything_of_one_release(store: Store, place: str) -> None:
    first = promoted(store, place)
    second = carried(store, place, "1.1.0", to=ReleaseState.CANARY)
    store.record_sample(second.id, datetime.now(UTC), "canary-10", {"weight": 10})
    store.claim_notification(second.id, Occasion.STARTED, Channel.SLACK)
    record = store.record(second.id)
    assert (record.release, record.previous) == (store.release(second.id), store.release(first.id))
    assert (len(record.events), len(record.samples), len(record.receipts)) == (7, 1, 1)


def test_a_ledger_that_is_away_is_named_without_its_password(place: str) -> None:
    away = Store("postgresql://slipway:hunter2@127.0.0.1:1/ledger")
    with pytest.raises(LedgerError) as error:
        away.find(place, "local")
    assert str(error.value).startswith("The ledger at 127.0.0.1:1/ledger could not find a release.\n  found  Operation")
    assert "hunter2" not in str(error.value)
    with pytest.raises(LedgerError) as unreadable:
        Store("postgresql://slipway:hunter2@h:port:port/ledger?nonsense=1")
    assert "hunter2" not in str(unreadable.value)
    assert unreadable.value.__cause__ is None


def test_waits_no_longer_than_it_may_for_a_lock(database: str, store: Store, place: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run-1")
    hasty = Store(database, Timeouts(lock_s=0.1))
    with psycopg.connect(database) as direct:
        direct.execute("SELECT 1 FROM ledger.releases WHERE id = %s FOR UPDATE", (release.id,))
        with pytest.raises(LedgerError, match=r"LockNotAvailable: canceling statement due to lock timeout"):
            hasty.append(release.id, EventKind.NOTED)
    assert hasty.append(release.id, EventKind.NOTED).seq == 2


@pytest.fixture
def deaf(database: str) -> Iterator[str]:
    """Address of a server that takes connections and, from the first question about a release on, answers nothing."""
    target = urlsplit(database)
    sockets: list[socket.socket] = []

    def relay(source: socket.socket, sink: socket.socket, heard: threading.Event, *, asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if asks and b"ledger.releases" in data:
                    heard.set()
                if not heard.is_set():
                    sink.sendall(data)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((target.hostname, target.port or 5432))
                sockets.extend([client, server])
                heard = threading.Event()
                for source, sink, asks in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=relay, args=(source, sink, heard), kwargs={"asks": asks}, daemon=True
                    ).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield database.replace(f"{target.hostname}:{target.port}", f"127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for one in sockets:
            one.close()


def test_a_server_that_falls_silent_holds_nobody_up(deaf: str, store: Store, place: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run-1")
    hasty = Timeouts(connect_s=2, statement_s=0.3, lock_s=0.2)
    began = time.monotonic()
    with pytest.raises(LedgerError, match=r"could not read a release\.\n  found  OperationalError"):
        Store(deaf, hasty).release(release.id)
    assert time.monotonic() - began < hasty.whole_s + 1


def test_missing_tables_are_named(database: str) -> None:
    with pytest.raises(LedgerError) as error:
        Store(database.rsplit("/", 1)[0] + "/postgres").find("app", "local")
    assert error.value.found == 'UndefinedTable: relation "ledger.releases" does not exist'
    assert error.value.mend == "create its tables with Store.ensure, as the first task of a release does."
