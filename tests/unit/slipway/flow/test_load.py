"""Whose requests a canary is judged by, and that a waived load is said everywhere and only where it may be."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.canary.plan import Stage
from slipway.errors import MetricsError, SpecError
from slipway.flow import configure, load, monitoring, notify
from slipway.flow.facts import Base, Facts
from slipway.flow.site import Site
from slipway.hooks import load as hook
from slipway.hooks.prometheus import Sample
from slipway.names import EnvironmentKind, EventKind, ReleaseState
from slipway.spec.catalog import Catalog
from slipway.spec.environment import LiveLoad, SyntheticLoad, WaivedLoad, load_environment
from slipway.spec.parameters import ReleaseParameters

from tests.unit.slipway.flow.conftest import make_release

if TYPE_CHECKING:
    from slipway.hooks.sender import Order
    from slipway.notifications.message import Message
    from slipway.spec.environment import Load

ROOT = Path(__file__).parents[4]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WAIVED = WaivedLoad(kind="waived", reason="nobody uses it before the fair", until=date(2026, 12, 1))
OURS = SyntheticLoad(kind="synthetic", requests_per_s=50)
USERS = LiveLoad(kind="live")
RELEASE = "hive-platform-1.0.0-local-1"
SAID = (
    "no requests are asked for, the canary is judged by its pods, until 2026-12-01, because: nobody uses it before the "
    "fair"
)


def site(asked: Load, kind: EnvironmentKind = EnvironmentKind.LOCAL) -> Site:
    catalog = Catalog(ROOT)
    environment = catalog.environment("local")
    canary = environment.canary.model_copy(update={"load": asked})
    return Site(
        catalog, catalog.release("hive-platform"), environment.model_copy(update={"canary": canary, "kind": kind})
    )


class Ledger:
    def __init__(self) -> None:
        self.events: list[tuple[str, EventKind, dict[str, Any], str]] = []

    def append(self, release: str, kind: EventKind, payload: dict[str, Any], *, key: str) -> None:
        self.events.append((release, kind, payload, key))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (USERS, "the users' own requests"),
        (OURS, "slipway's own, 50 requests/s while it watches (/api/v1/version, /api/v1/clusters, /api/v1/tables), and "
               "the users'"),
        (WAIVED, f"WAIVED: {SAID}"),
    ],
)  # fmt: skip
def test_a_plan_says_whose_load_it_is(asked: Load, words: str) -> None:
    parameters = ReleaseParameters(application="hive-platform", environment="local", version="1.0.0")
    assert f"load        {words}" in list(configure.describe(site(asked), parameters))


@pytest.mark.parametrize("asked", [USERS, OURS, WAIVED])
def test_only_a_waived_load_asks_for_no_requests(asked: Load) -> None:
    found = [site(asked).policy(stage).requests_waived for stage in (Stage.WEIGHT_10, Stage.WEIGHT_100)]
    assert found == [asked is WAIVED] * 2


def test_a_waived_load_is_in_the_ledger_and_loud(caplog: pytest.LogCaptureFixture) -> None:
    ledger: Any = Ledger()
    load.record_waiver(site(WAIVED), ledger, RELEASE)
    assert ledger.events == [
        (RELEASE, EventKind.WAIVED, {
            "what": "load of the canary", "reason": WAIVED.reason, "until": "2026-12-01", "by": "environment local",
            "text": SAID,
        }, "waived:canary.load"),
    ]  # fmt: skip
    with load.made(site(WAIVED), RELEASE) as made:
        assert made is None
    assert [(one.levelno, one.message) for one in caplog.records] == [(logging.WARNING, f"WAIVED: {SAID}")] * 2


@pytest.mark.parametrize("asked", [USERS, OURS])
def test_there_is_nothing_to_record_of_another(asked: Load) -> None:
    ledger: Any = Ledger()
    load.record_waiver(site(asked), ledger, RELEASE)
    assert ledger.events == []
    assert load.waiver(site(asked)) == ""


def test_users_are_left_alone() -> None:
    with load.made(site(USERS), RELEASE) as made:
        assert made is None


def test_slipways_own_goes_where_users_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the application's address and not by a pod's: the router shares it out, or it says nothing of the weight."""
    orders: list[Order] = []
    monkeypatch.setattr(hook.Load, "keep_up", lambda self: orders.append(self._order) or "")
    with load.made(site(OURS), RELEASE) as made:
        assert made is not None
    [order] = orders
    assert order.url == "https://hive.testbed.internal"
    assert order.address == "10.200.0.11"
    assert order.ca == "/var/lib/slipway-testbed/pki/ca.crt"
    assert order.requests_per_s == 50
    assert order.paths == ("/api/v1/version", "/api/v1/clusters", "/api/v1/tables")
    assert order.agent == f"slipway-synthetic/1 ({RELEASE})"


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (USERS, EnvironmentKind.PRODUCTION, None),
        (OURS, EnvironmentKind.PRODUCTION, None),
        (WAIVED, EnvironmentKind.STAGING, None),
        (WAIVED, EnvironmentKind.PRODUCTION, "production admits no waiver of canary.load"),
        (WAIVED.model_copy(update={"until": date(2026, 11, 23)}), EnvironmentKind.LOCAL,
         "the waiver of canary.load is over (until 2026-11-23, today is 2026-11-24: nobody uses it before the fair): "
         "mend what it hid, or give a new reason and a new day"),
        (WAIVED.model_copy(update={"until": date(2027, 11, 1)}), EnvironmentKind.STAGING,
         "the waiver of canary.load is too long"),
        (WAIVED.model_copy(update={"until": date(2027, 11, 1)}), EnvironmentKind.LOCAL, None),
        (WAIVED.model_copy(update={"reason": "because"}), EnvironmentKind.LOCAL, "gives no reason"),
    ],
)  # fmt: skip
def test_a_waiver_that_does_not_hold_is_refused_with_the_mend(
    asked: Load, kind: EnvironmentKind, words: str | None
) -> None:
    found = configure._waived_load(site(asked, kind), NOW)
    assert found is None if words is None else words in str(found)


def test_a_waiver_that_has_expired_never_gets_into_a_release(tmp_path: Path) -> None:
    text = (ROOT / "include/config/local.yaml").read_text()
    yesterday = date(2026, 11, 24) - timedelta(days=1)
    waived = f'load: {{kind: waived, reason: "nobody uses it", until: "{yesterday}"}}'
    (tmp_path / "local.yaml").write_text(text.replace("load: {kind: live}", waived))
    with pytest.raises(SpecError, match=r"canary\.load\.until: the waiver has expired\n.*\n  allowed  2026-11-24 or l"):
        load_environment(tmp_path / "local.yaml", today=date(2026, 11, 24))


def test_people_are_told_of_a_waiver_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Message] = []
    monkeypatch.setattr(notify, "_send", lambda _site, _store, message: sent.append(message))
    release = make_release(ReleaseState.CANARY)
    store: Any = SimpleNamespace(events=lambda _: [], release=lambda _: release)
    for asked in (WAIVED, USERS):
        here = site(asked)
        notify.started(here, store, release, actor="a", summary="", previous=None)
        step: Any = SimpleNamespace(
            site=here, store=store, release=release, facts=Facts(Base(), {}, "", None, {}, None)
        )
        notify.promoted(step, requests=0, errors=0)
    told = [[fact.value for fact in message.rows() if fact.label == "Waived"] for message in sent]
    assert told == [[SAID], [SAID], [], []]


@dataclass
class Quiet:
    """A Prometheus that reads a pod, of which no request is known, unless it is said."""

    read_at: float | None
    counted: float | None = None

    def scalar(self, query: str) -> float | None:
        if query.startswith("count(count by (pod) ("):
            return self.counted
        return 1000.0 if query == "vector(time())" else 7.0

    def ask(self, query: str) -> list[Sample]:
        assert 'up{namespace="hive-local", rollouts_pod_template_hash="old1"}' in query
        return [] if self.read_at is None else [Sample((("pod", "p"),), self.read_at)]


@pytest.mark.parametrize(
    ("asked", "read_at", "sees"),
    [(OURS, 999, True), (WAIVED, 999, True), (USERS, 999, False), (OURS, None, False), (OURS, 900, False)],
)
def test_a_version_that_nobody_uses_is_seen_by_its_pods_where_no_user_is_expected(
    monkeypatch: pytest.MonkeyPatch, asked: Load, read_at: float | None, sees: bool
) -> None:
    here = site(asked)
    monkeypatch.setattr(Site, "prometheus", lambda _: nullcontext(Quiet(read_at)))
    advanced: list[Any] = []
    step: Any = SimpleNamespace(
        site=here, facts=Facts(Base("1.0.0", 1, "old1"), {}, "new1", 2, {}, None),
        advance=lambda *what: advanced.append(what),
    )  # fmt: skip
    if not sees:
        with pytest.raises(MetricsError, match="does not see the stable version old1"):
            monitoring.prove(step)
        return
    monitoring.prove(step)
    assert advanced[0][1]["stable_pods"] == 1


def test_a_version_whose_pods_are_read_no_more_is_not_seen_however_many_requests_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sum answers with the time of the question, however old what it adds up is."""
    monkeypatch.setattr(Site, "prometheus", lambda _: nullcontext(Quiet(900, counted=3)))
    step: Any = SimpleNamespace(site=site(USERS), facts=Facts(Base("1.0.0", 1, "old1"), {}, "new1", 2, {}, None))
    with pytest.raises(MetricsError, match="the newest sample is 100 s old"):
        monitoring.prove(step)
