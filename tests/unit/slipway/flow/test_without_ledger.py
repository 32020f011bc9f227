"""Going back while the ledger is away: only a canary that is known to be the one that is meant."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import LedgerError, RefusedError
from slipway.flow import without_ledger
from slipway.flow.site import Site
from slipway.rollouts.state import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINE, OTHER = "hive-platform-1.0.0-local-1", "hive-platform-0.9.0-local-1"


class World:
    """A Rollout, whose sign of life there is, and whether the chart has a switch."""

    def __init__(self) -> None:
        self.current, self.stable = "new1", "old1"
        self.carried = MINE
        self.switch = True
        self.aborted: list[str] = []
        self.client = None

    def state(self) -> Any:
        status = {"currentPodHash": self.current, "stableRS": self.stable}
        return read({"metadata": {"name": "backend"}, "spec": {}, "status": status})

    def abort(self, hash_: str) -> Any:
        self.aborted.append(hash_)
        return self.state()

    def seen(self) -> str:
        assert self.switch, "nobody gives a sign of life where no switch looks for it"
        return self.carried


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    made = World()

    @contextmanager
    def rollout(_: Site) -> Iterator[tuple[World, None]]:
        yield made, None

    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path))
    monkeypatch.setattr(Site, "rollout", rollout)
    monkeypatch.setattr(without_ledger.heartbeat, "is_wanted", lambda _: made.switch)
    monkeypatch.setattr(without_ledger.heartbeat, "heartbeat", lambda *_: made)
    return made


@pytest.fixture
def site() -> Site:
    return Site.open("hive-platform", "local")


def spooled(tmp_path: Path) -> list[tuple[str, str, str]]:
    path = tmp_path / "spool/events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(one["release_id"], one["payload"]["by"], one["payload"]["reason"]) for one in lines]


def test_settle_takes_its_own_canary_back(world: World, site: Site, tmp_path: Path) -> None:
    assert without_ledger.stop_traffic(site, actor="settle", reason="failed: build", release_id=MINE)

    assert world.aborted == ["new1"]
    assert spooled(tmp_path) == [(MINE, "slipway", "failed: build")]


@pytest.mark.parametrize(("carried", "switch"), [(OTHER, True), ("", True), ("", False)])
def test_settle_leaves_alone_what_may_be_another_one_s(
    world: World, site: Site, tmp_path: Path, carried: str, switch: bool
) -> None:
    world.carried, world.switch = carried, switch

    with pytest.raises(RefusedError, match="does not say whose it is"):
        without_ledger.stop_traffic(site, actor="settle", reason="failed: build", release_id=MINE)

    assert (world.aborted, spooled(tmp_path)) == ([], [])


@pytest.mark.parametrize(("carried", "switch", "known"), [(OTHER, True, [(OTHER, "person", "slow")]), ("", False, [])])
def test_a_person_takes_back_whatever_canary_is_there(
    world: World, site: Site, tmp_path: Path, carried: str, switch: bool, known: list[tuple[str, str, str]]
) -> None:
    world.carried, world.switch = carried, switch

    assert without_ledger.stop_traffic(site, actor="ann", reason="slow")

    assert world.aborted == ["new1"]
    assert spooled(tmp_path) == known


def test_a_person_is_asked_to_look_where_it_may_be_a_way_back(world: World, site: Site) -> None:
    """After a promotion the old version is the canary; taking users off it would give them to the bad one."""
    world.carried = ""

    with pytest.raises(RefusedError) as refused:
        without_ledger.stop_traffic(site, actor="ann", reason="slow")

    assert str(refused.value) == (
        "hive-platform in local: the canary there is left alone, as the ledger is away and does not say whose it is\n"
        "  found  sign of life of nobody\n"
        "  do     look at it: scripts/release/rollback.sh --namespace hive-local --rollout hive-platform-backend"
    )
    assert world.aborted == []


@pytest.mark.parametrize(
    ("stable", "words"),
    [("old1", "users are on the stable version; the rest waits"), ("new1", "there is no canary; nothing was done")],
)
def test_a_rollback_by_hand_says_what_it_could_do(
    world: World, site: Site, monkeypatch: pytest.MonkeyPatch, stable: str, words: str
) -> None:
    world.stable = stable
    error = LedgerError("The ledger could not find a release.", found="refused")

    def away(*_: Any) -> Any:
        raise error

    store = SimpleNamespace(find=away, last_promoted=away)
    monkeypatch.setattr(Site, "ledger", lambda _: store)
    with pytest.raises(LedgerError) as told:
        without_ledger.take_back(site, actor="ann", reason="slow")

    assert str(told.value) == (
        f"hive-platform in local: {words}\n"
        "  found  The ledger could not find a release.: refused\n"
        "  do     repeat it when the ledger answers, or scripts/release/rollback.sh --namespace hive-local "
        "--rollout hive-platform-backend"
    )
