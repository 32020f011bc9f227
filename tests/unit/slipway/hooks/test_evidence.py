"""The collector over a Prometheus that is a table: births, restarts, the router's own errors, and silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from slipway.canary.evidence import Abort, PodState, RouterCounts, Source
from slipway.canary.policy import Policy
from slipway.errors import ClusterError, MetricsError
from slipway.hooks.evidence import Collector, Window
from slipway.hooks.prometheus import Sample
from slipway.names import AbortedBy
from slipway.rollouts.state import read
from slipway.spec.release import Workload, load_release

if TYPE_CHECKING:
    from slipway.canary.evidence import Evidence

ROOT = Path(__file__).parents[4]
START = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
NOW = START + timedelta(seconds=20)
CANARY, STABLE = "new1", "old1"
SHOP = "hive-local-hive-platform-backend-{}-8000@kubernetescrd"


@dataclass
class Table:
    """What Prometheus knows: (words of the query, moment) -> series. What was asked is kept."""

    rows: dict[tuple[str, datetime], list[tuple[dict[str, str], float]]] = field(default_factory=dict)
    newest: float | None = (NOW - timedelta(seconds=2)).timestamp()
    silent: tuple[str, ...] = ()
    asked: list[tuple[str, datetime | None]] = field(default_factory=list)

    def put(self, what: str, hash_: str, before: list[tuple[dict[str, str], float]], now: Any) -> None:
        self.rows[f"{what}|{hash_}", START] = before
        self.rows[f"{what}|{hash_}", NOW] = now

    def ask(self, query: str, *, at: datetime | None = None) -> list[Sample]:
        self.asked.append((query, at))
        if any(word in query for word in self.silent):
            raise MetricsError("Prometheus does not answer")
        if "timestamp(" in query:
            # The time of a sum is that of the question: only a bare selector knows when a pod was read.
            up = f'up{{namespace="hive-local", rollouts_pod_template_hash="{CANARY}"}}'
            assert query == f"max by (pod) (timestamp({up}) and ({up} == 1))"
            return [] if self.newest is None else [Sample((("pod", "c-1"),), self.newest)]
        what = next(word for word in ("traefik", "_bucket", "http_requests_total") if word in query)
        hash_ = next((one for one in (CANARY, STABLE) if f'"{one}"' in query), "")
        assert at is not None
        return [
            Sample(tuple(sorted(labels.items())), value) for labels, value in self.rows.get((f"{what}|{hash_}", at), [])
        ]


@dataclass
class Cluster:
    """The Rollout and its pods, or an API server that is away."""

    weight: int = 10
    away: bool = False
    status: dict[str, Any] = field(default_factory=dict)
    namespace: str = "hive-local"

    @property
    def client(self) -> Cluster:
        return self

    def of(self, hash_: str, before: Any = None) -> tuple[PodState, ...]:
        if self.away:
            raise ClusterError("the API server did not answer")
        assert (hash_, before) == (CANARY, {"pod-c": 1})
        return (PodState(name="pod-c", ready=True),)

    def state(self) -> Any:
        weights = {"weights": {"canary": {"weight": self.weight}}}
        status = {"canary": weights, "currentPodHash": CANARY, **self.status}
        return read({"metadata": {"name": "backend"}, "spec": {}, "status": status})


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load_release(ROOT / "include/releases/hive-platform.yaml").workload


@pytest.fixture
def table() -> Table:
    """10 requests and one error of the canary's in the window, 90 and none of the stable version's."""
    made = Table()
    made.put(
        "http_requests_total", CANARY,
        [({"pod": "c", "status": "200"}, 100.0), ({"pod": "c", "status": "500"}, 4.0)],
        [({"pod": "c", "status": "200"}, 109.0), ({"pod": "c", "status": "500"}, 5.0)],
    )  # fmt: skip
    made.put(
        "http_requests_total",
        STABLE,
        [({"pod": "s", "status": "200"}, 1000.0)],
        [({"pod": "s", "status": "200"}, 1090.0)],
    )
    made.put("_bucket", CANARY, _buckets("c", 50, 104), _buckets("c", 58, 114))
    made.put("_bucket", STABLE, _buckets("s", 500, 1000), _buckets("s", 590, 1090))
    canary, stable = ({"service": SHOP.format(name), "code": "200"} for name in ("canary", "stable"))
    made.put("traefik", "", [(canary, 50.0), (stable, 500.0)], [(canary, 60.0), (stable, 590.0)])
    return made


def _buckets(pod: str, fast: float, every: float) -> list[tuple[dict[str, str], float]]:
    return [({"pod": pod, "le": "0.1"}, fast), ({"pod": pod, "le": "+Inf"}, every)]


def collector(
    table: Table,
    workload: Workload,
    cluster: Cluster | None = None,
    *,
    stable: str = STABLE,
    policy: Policy | None = None,
) -> Collector:
    window = Window(START, 25, 10, CANARY, stable, {"pod-c": 1})
    there: Any = cluster or Cluster()
    return Collector(table, workload, there, there, window, policy or Policy(restart_s=0))  # type: ignore[arg-type]


def look(table: Table, workload: Workload, **more: Any) -> Evidence:
    return collector(table, workload, **more).look(NOW)


def test_counts_are_differences_to_the_start_of_the_window(table: Table, workload: Workload) -> None:
    found = look(table, workload)

    assert (found.canary.counts.requests, found.canary.counts.errors) == (10, 1)
    assert (found.stable.counts.requests, found.stable.counts.errors) == (90, 0)
    assert found.canary.latency is not None
    assert (found.canary.latency.buckets, found.canary.latency.count) == (((0.1, 8.0),), 10.0)
    assert (found.share, found.weight_set, found.sample_age_s) == (0.1, 10, 2.0)
    assert found.silent == ()
    assert found.silent_s == 0.0


def test_a_pod_born_in_the_window_counts_from_nought(table: Table, workload: Workload) -> None:
    table.rows["http_requests_total|new1", NOW] += [
        ({"pod": "c2", "status": "200"}, 6.0), ({"pod": "c2", "status": "503"}, 2.0),
    ]  # fmt: skip

    counts = look(table, workload).canary.counts

    assert (counts.requests, counts.errors) == (18, 3)


def test_a_pod_that_was_restarted_counts_from_nought(table: Table, workload: Workload) -> None:
    table.rows["http_requests_total|new1", NOW] = [({"pod": "c", "status": "200"}, 7.0)]

    assert look(table, workload).canary.counts.requests == 7


def test_only_server_errors_are_errors(table: Table, workload: Workload) -> None:
    table.rows["http_requests_total|new1", NOW] += [
        ({"pod": "c", "status": code}, 3.0) for code in ("301", "404", "429", "499")
    ]

    assert look(table, workload).canary.counts.errors == 1


def test_what_the_router_could_not_deliver_is_an_error_of_the_canary(table: Table, workload: Workload) -> None:
    """No pod has seen these requests, so no pod's series knows them."""
    canary, stable = SHOP.format("canary"), SHOP.format("stable")
    table.rows["traefik|", NOW] += [
        ({"service": canary, "code": "502"}, 3.0), ({"service": canary, "code": "504"}, 1.0),
        ({"service": canary, "code": "500"}, 9.0), ({"service": stable, "code": "503"}, 2.0),
    ]  # fmt: skip

    found = look(table, workload)

    # 500 is the pod's own answer: it stands in the pod's series already, and would count twice.
    assert found.canary.router == RouterCounts(requests=23, errors=4)
    assert found.stable.router == RouterCounts(requests=92, errors=2)
    assert (found.canary.total.requests, found.canary.total.errors) == (14, 5)


@pytest.mark.parametrize(
    "service",
    [
        "hive-local-hive-platform-backend-canary-old-8000@kubernetescrd",  # a longer name
        "hive-local2-hive-platform-backend-canary-8000@kubernetescrd",  # another namespace
        "hive-local-hive-platform-backend-canary@kubernetescrd",  # no port
        "hive-local-hive-platform-backend@kubernetescrd",  # the weighted route itself
    ],
)
def test_a_service_with_a_name_like_it_is_another_one(table: Table, workload: Workload, service: str) -> None:
    table.rows["traefik|", NOW] += [({"service": service, "code": "502"}, 50.0)]

    assert look(table, workload).canary.router == RouterCounts(requests=10, errors=0)


def test_values_of_the_past_are_asked_once(table: Table, workload: Workload) -> None:
    watched = collector(table, workload)
    watched.look(NOW)
    first = sum(at == START for _, at in table.asked)
    watched.look(NOW)

    assert first == 5
    assert sum(at == START for _, at in table.asked) == first


def test_a_failed_question_about_the_past_is_asked_again(table: Table, workload: Workload) -> None:
    """An empty answer that was only silence would count every request of the pod's life as one of the window."""
    table.silent = ("http_requests_total",)
    watched = collector(table, workload)
    assert watched.look(NOW).canary.counts.requests == 0

    table.silent = ()

    assert watched.look(NOW).canary.counts.requests == 10


def test_a_silent_prometheus_is_no_bad_canary(table: Table, workload: Workload) -> None:
    table.silent = ("http", "traefik", "_bucket")

    found = look(table, workload)

    assert found.answered == (Source.PODS,)
    assert found.silent == (Source.METRICS, Source.ROUTER)
    assert (found.canary.counts.errors, found.sample_age_s, found.share) == (0, None, None)
    assert [pod.name for pod in found.canary.pods] == ["pod-c"]


def test_a_router_that_is_silent_is_missing_alone(table: Table, workload: Workload) -> None:
    table.silent = ("traefik",)

    found = look(table, workload)

    assert found.silent == (Source.ROUTER,)
    assert found.canary.counts.requests == 10


def test_an_api_server_that_is_away_is_missing_alone(table: Table, workload: Workload) -> None:
    found = look(table, workload, cluster=Cluster(away=True))

    assert found.silent == (Source.PODS,)
    assert (found.weight_set, found.canary.pods) == (None, ())


def test_silence_is_timed_from_its_first_look_and_ends_with_an_answer(
    table: Table, workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 100.0, 107.5])
    monkeypatch.setattr("slipway.hooks.evidence.time.monotonic", lambda: next(clock))
    watched = collector(table, workload)
    table.silent = ("traefik",)

    assert watched.look(NOW).silent_s == 0.0
    assert watched.look(NOW).silent_s == 7.5
    table.silent = ()
    assert watched.look(NOW).silent_s == 0.0


def test_no_series_of_the_canary_is_an_unknown_age(table: Table, workload: Workload) -> None:
    table.newest = None

    assert look(table, workload).sample_age_s is None


def test_a_clock_that_is_ahead_gives_no_negative_age(table: Table, workload: Workload) -> None:
    table.newest = NOW.timestamp() + 3

    assert look(table, workload).sample_age_s == 0.0


def test_a_first_install_has_nothing_beside_it(table: Table, workload: Workload) -> None:
    found = look(table, workload, stable="")

    assert found.alone
    assert (found.stable.counts.requests, found.share, found.weight_set) == (0, None, None)
    assert not any('"old1"' in query for query, _ in table.asked)


def test_the_end_of_a_long_window_is_counted_apart(table: Table, workload: Workload) -> None:
    """Stretches begin at fixed moments, the second of the last two here: 10 s after the start."""
    middle = START + timedelta(seconds=10)
    table.rows["http_requests_total|new1", middle] = [
        ({"pod": "c", "status": "200"}, 107.0), ({"pod": "c", "status": "500"}, 4.0)
    ]  # fmt: skip

    found = look(table, workload, policy=Policy(restart_s=5))

    assert found.recent is not None
    assert found.recent.start == START + timedelta(seconds=15)
    assert found.canary.counts.requests == 10


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, None),
        ({"abort": True, "message": 'RolloutAborted: x: Metric "unattended" assessed Failed'},
         Abort(by=AbortedBy.DEAD_MAN_SWITCH, why='Metric "unattended" assessed Failed')),
        ({"abort": True, "message": "RolloutAborted: x"}, Abort(by=AbortedBy.ARGO, why="RolloutAborted: x")),
        ({"abort": True, "message": "RolloutAborted: x", "currentPodHash": "newer"}, None),
    ],
)  # fmt: skip
def test_an_abort_says_whose_it_was(
    table: Table, workload: Workload, status: dict[str, Any], expected: Abort | None
) -> None:
    assert collector(table, workload, Cluster(status=status)).look(NOW).abort == expected
