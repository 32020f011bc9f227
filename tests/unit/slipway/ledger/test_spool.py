from __future__ import annotations

import json
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import LedgerError, RefusedError
from slipway.ledger.spool import REFUSED, Replayed, Spool
from slipway.names import EventKind

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 24, 18, 20, tzinfo=UTC)


@dataclass
class FakeStore:
    """Records as the ledger does, once a key; fails from the given event on."""

    fails_at: int = 1000
    unknown: str = ""
    recorded: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: int = 0

    def append(
        self, release_id: str, kind: EventKind, payload: dict[str, Any], actor: str, *, key: str, at: datetime
    ) -> None:
        if release_id == self.unknown:
            raise RefusedError(f"The ledger knows no release {release_id}.")
        self.calls += 1
        if self.calls >= self.fails_at:
            raise LedgerError("The ledger is away.")
        self.recorded.setdefault(key, {"kind": kind, "payload": payload, "actor": actor, "at": at})


def replay(spool: Spool, store: FakeStore) -> Replayed:
    return spool.replay(store)  # type: ignore[arg-type]


def filled(folder: Path, count: int = 3) -> Spool:
    spool = Spool(folder / "spool")
    for number in range(count):
        spool.write("r-1", EventKind.ABORTED, {"n": number}, "trigger", at=AT)
    return spool


def test_replays_in_order_and_empties_itself(tmp_path: Path) -> None:
    spool, store = filled(tmp_path), FakeStore()
    assert spool.waiting() == 3
    assert replay(spool, store) == Replayed(recorded=3, refused=0, left=0)
    assert [event["payload"] for event in store.recorded.values()] == [{"n": n, "spooled": True} for n in range(3)]
    assert {event["at"] for event in store.recorded.values()} == {AT}
    assert replay(spool, store) == Replayed(0, 0, 0)


def test_keeps_everything_while_the_ledger_is_away_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    spool, store = filled(tmp_path), FakeStore(fails_at=2)
    assert replay(spool, store) == Replayed(recorded=1, refused=0, left=3)
    spool.write("r-1", EventKind.NOTED, {"n": 3}, "trigger")
    store.fails_at = 1000
    assert replay(spool, store) == Replayed(recorded=4, refused=0, left=0)
    assert [event["payload"]["n"] for event in store.recorded.values()] == [0, 1, 2, 3]


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    filled(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool").iterdir()}
    assert modes == {"events.jsonl": 0o600, "write.lock": 0o600}
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


def test_a_torn_line_swallows_nothing_and_is_kept_aside(tmp_path: Path) -> None:
    spool, store = filled(tmp_path, 1), FakeStore()
    path = tmp_path / "spool/events.jsonl"
    path.write_bytes(path.read_bytes() + b'{"release_id":"r-1","ki')
    spool.write("r-1", EventKind.NOTED, {"n": 9}, "trigger")
    assert replay(spool, store) == Replayed(recorded=2, refused=1, left=0)
    aside = json.loads((tmp_path / "spool" / REFUSED).read_text())
    assert aside == {"line": '{"release_id":"r-1","ki', "why": "JSONDecodeError"}


def test_an_event_of_an_unknown_release_does_not_stop_the_others(tmp_path: Path) -> None:
    spool, store = Spool(tmp_path), FakeStore(unknown="r-0")
    spool.write("r-0", EventKind.NOTED, {}, "trigger")
    spool.write("r-1", EventKind.NOTED, {}, "trigger")
    assert replay(spool, store) == Replayed(recorded=1, refused=1, left=0)


def test_no_secret_reaches_the_disk(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with pytest.raises(RefusedError):
        spool.write("r-1", EventKind.NOTED, {"error": "redis://:hunter2@h"}, "trigger")
    assert not (tmp_path / "spool").exists()


def test_a_disk_that_takes_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError) as error:
        Spool(tmp_path / "file/spool").write("r-1", EventKind.ABORTED, {}, "trigger")
    assert str(error.value) == (
        f"Neither the ledger nor the spool in {tmp_path}/file/spool took an event (aborted).\n"
        "  found  NotADirectoryError: Not a directory\n"
        "  do     make room and rights on that disk; the event is in the log of the task only."
    )


def test_an_empty_spool_needs_no_folder(tmp_path: Path) -> None:
    assert replay(Spool(tmp_path / "none"), FakeStore()) == Replayed(0, 0, 0)
    assert Spool(tmp_path / "none").waiting() == 0
