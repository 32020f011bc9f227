"""What a watcher reads of a release, and how the command ends."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from slipway.cli import exit_code, main
from slipway.cli.live import Live, numbers, require_back, require_promoted, tell
from slipway.errors import LedgerError, RefusedError, SlipwayError
from slipway.flow import rollback
from slipway.hooks.airflow import Failure
from slipway.ledger.models import Event, Release, Sample
from slipway.names import EventKind, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
RELEASE = Release(
    id="shop-1.0.0-local-1", application="shop", version="1.0.0", environment="local", run_id="shop-1.0.0-1",
    state=ReleaseState.CANARY, epoch=1, lease_until=AT, previous=None, created_at=AT, updated_at=AT, ended_at=None,
    last_seq=3, last_hash="0",
)  # fmt: skip
SAMPLE = Sample(
    RELEASE.id, AT, "weight-10",
    {"canary_requests": 192, "canary_errors": 38, "stable_requests": 1730, "stable_errors": 0, "canary_p95_s": 0.084,
     "stable_p95_s": 0.08, "weight": 10, "observed_share": 0.098},
)  # fmt: skip


def event(kind: EventKind, payload: Mapping[str, Any], seq: int = 1) -> Event:
    return Event(RELEASE.id, seq, AT, "slipway", kind, payload, None, "0")


@pytest.mark.parametrize(
    ("kind", "payload", "line"),
    [
        (EventKind.STEP_STARTED, {"weight": 10, "hold_s": 25.0}, "weight 10 %, watched for 25 s at least"),
        (EventKind.VERDICT, {"stage": "weight-10", "verdict": "FAIL", "rule": "ERROR_RATE", "reasons": ["a", "b"]},
         "weight-10 FAIL (ERROR_RATE): a; b"),
        (EventKind.VERDICT, {"stage": "weight-10", "verdict": "HOLD", "rule": None, "reasons": ["too few"]},
         "weight-10 HOLD: too few"),
        (EventKind.TRUTH_PROVED, {"truth": "Rollout", "ok": False, "found": "Paused"}, "NOT PROVED  Rollout: Paused"),
        (EventKind.ROLLBACK_FINISHED, {"to": "ROLLED_BACK", "duration_s": 12.5},
         "ROLLED_BACK: The old version serves everybody again, and that was proved. 12.5 s"),
        (EventKind.ROLLBACK_STARTED, {"to": "ROLLING_BACK", "reason": "\x1b[31mred"},
         "ROLLING_BACK: The decision against the new version has fallen; traffic goes to the old one. ( [31mred)"),
        (EventKind.LEASED, {"lease_s": 900.0}, ""),
        (EventKind.NOTED, {"what": "specs"}, ""),
    ],
)  # fmt: skip
def test_an_event_in_a_line(kind: EventKind, payload: Mapping[str, Any], line: str) -> None:
    assert tell(event(kind, payload)) == line


def test_the_numbers_of_both_versions_stand_side_by_side() -> None:
    assert numbers(SAMPLE) == (
        "weight-10  weight 10 %, seen 9.8 %  errors of the canary 38 of 192 (19.8 %), P95 84 ms; "
        "of the stable version 0 of 1,730 (0 %), P95 80 ms"
    )


def test_what_is_not_known_is_not_nought() -> None:
    assert numbers(replace(SAMPLE, numbers={"weight": 10})).count("unknown") == 5


class Ledger:
    """A ledger that may be away for some looks."""

    def __init__(self, events: list[Event], *, away: int = 0) -> None:
        self._events, self._away = events, away

    def events(self, _: str) -> list[Event]:
        if self._away:
            self._away -= 1
            raise LedgerError("the ledger", found="connection refused")
        return self._events

    def samples(self, _: str) -> list[Sample]:
        return [SAMPLE]


class Run:
    """A run of three looks."""

    def follow(self, *_: str) -> Iterator[tuple[str, str]]:
        yield "configure.check", "running"
        yield "configure.check", "scheduled"
        yield from [("", "")] * 2
        yield "", "success"


def watched(ledger: Ledger, *, release: Release | None = RELEASE, after: int = 0) -> tuple[Live, list[str]]:
    out = io.StringIO()
    console = Console(file=out, width=200, highlight=False, soft_wrap=True, markup=False)
    one = Live(ledger, lambda _: release, console, after=after)  # type: ignore[arg-type]
    one.follow(Run(), "release", "run")  # type: ignore[arg-type]
    return one, [line[10:] for line in out.getvalue().splitlines()]


def test_each_event_is_told_once_and_numbers_only_now_and_then() -> None:
    steps = [
        event(EventKind.STEP_STARTED, {"weight": weight, "hold_s": 1.0}, seq) for seq, weight in ((4, 10), (5, 50))
    ]

    one, lines = watched(Ledger(steps), after=4)

    assert one.release is RELEASE
    assert lines == [
        f"{'configure.check':<26} running", "  weight 50 %, watched for 1 s at least", f"    {numbers(SAMPLE)}",
    ]  # fmt: skip


def test_a_release_that_is_not_planned_yet_is_waited_for() -> None:
    one, lines = watched(Ledger([]), release=None)

    assert (one.release, len(lines)) == (None, 1)


def test_a_silent_ledger_is_said_once_and_ends_nothing() -> None:
    steps = [event(EventKind.STEP_STARTED, {"weight": 10, "hold_s": 1.0})]

    _, lines = watched(Ledger(steps, away=2))

    assert [line for line in lines if "silent" in line] == [
        "the ledger is silent, the release is not touched by that: connection refused"
    ]
    assert "  weight 10 %, watched for 1 s at least" in lines


# --- how it ends


def code_after(state: ReleaseState | None, *failures: Failure) -> int:
    release = None if state is None else replace(RELEASE, state=state)
    try:
        require_promoted(release, list(failures), "http://airflow")
    except SlipwayError as error:
        return exit_code(error)
    return 0


@pytest.mark.parametrize(
    ("state", "kind", "code"),
    [
        (ReleaseState.PROMOTED, "NotificationError", 0),  # the release is there, whatever the announcement did
        (ReleaseState.ROLLED_BACK, "VerdictError", 7),
        (ReleaseState.ROLLED_BACK, "ClusterError", 7),
        (ReleaseState.ROLLBACK_FAILED, "ClusterError", 1),
        (ReleaseState.ROLLING_BACK, "VerdictError", 1),
        (ReleaseState.CANCELLED, "GateError", 5),
        (ReleaseState.PLANNED, "RefusedError", 4),
        (None, "SpecError", 2),
        (None, "RefusedError", 4),
        (None, "KeyError", 1),
        (None, "annotations", 1),
        (None, "", 1),
    ],
)
def test_the_exit_code_says_how_it_ended(state: ReleaseState | None, kind: str, code: int) -> None:
    assert code_after(state, Failure("configure.check", kind, "why"), Failure("settle", "VerdictError", "late")) == code


def test_a_release_that_went_back_says_why_in_a_line() -> None:
    text = "the canary failed at weight-10 (ERROR_RATE)\n  found  error rate 27.3 %\n  do     nothing tonight"

    with pytest.raises(SlipwayError) as caught:
        require_promoted(
            replace(RELEASE, state=ReleaseState.ROLLED_BACK),
            [Failure("canary.watch_10", "VerdictError", text)],
            "http://a",
        )

    assert str(caught.value).splitlines() == [
        "shop 1.0.0 in local was taken back, and that was proved",
        "  found  canary.watch_10: the canary failed at weight-10 (ERROR_RATE): error rate 27.3 %",
        "  do     slipway report shop-1.0.0-local-1 tells the whole story",
    ]


def test_a_refusal_is_shown_as_the_task_said_it() -> None:
    text = "shop cannot be released\n  found  it is frozen\n  do     wait"

    with pytest.raises(SlipwayError) as caught:
        require_promoted(None, [Failure("configure.check", "RefusedError", text)], "http://a")

    assert str(caught.value) == f"configure.check: {text}\n  log    http://a"


def test_a_run_without_a_failed_task_is_no_success_without_a_promotion() -> None:
    assert code_after(None) == 1
    assert code_after(ReleaseState.CANARY) == 1


def test_a_rollback_has_ended_when_it_is_proved() -> None:
    require_back(replace(RELEASE, state=ReleaseState.ROLLED_BACK), [], "http://airflow")
    for state in set(ReleaseState) - {ReleaseState.ROLLED_BACK}:
        with pytest.raises(SlipwayError):
            require_back(replace(RELEASE, state=state), [], "http://airflow")


# --- the commands


class FakeAirflow:
    """An Airflow that takes everything and ends as it is told."""

    started: list[tuple[str, dict[str, Any], str]]
    interrupted = False
    paused: tuple[str, ...] = ()

    def __init__(self, _: object) -> None:
        type(self).started = []

    def __enter__(self) -> FakeAirflow:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def require_awake(self, dag: str) -> None:
        if dag in self.paused:
            raise RefusedError(f"the DAG {dag} is paused")

    def trigger(self, dag: str, conf: dict[str, Any], run_id: str) -> None:
        type(self).started.append((dag, conf, run_id))

    def follow(self, *_: str) -> Iterator[tuple[str, str]]:
        if self.interrupted:
            raise KeyboardInterrupt
        yield "", "failed"

    def failures(self, *_: str) -> list[Failure]:
        return [Failure("configure.check", "RefusedError", "Secret shop/secrets does not exist")]

    def link(self, dag: str, run_id: str) -> str:
        return f"http://airflow/{dag}/{run_id}"


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> type[FakeAirflow]:
    fake = type("Fake", (FakeAirflow,), {})
    for name in ("URL", "USER", "PASSWORD"):
        monkeypatch.setenv(f"SLIPWAY_AIRFLOW_{name}", "x")
    monkeypatch.setattr("slipway.hooks.airflow.Airflow", fake)
    store = SimpleNamespace(
        recent=lambda *_: [], find=lambda *_: RELEASE, release=lambda _: RELEASE, events=lambda _: []
    )
    monkeypatch.setattr("slipway.flow.site.Site.ledger", lambda _: store)
    return fake


def test_a_release_is_started_with_what_was_typed(
    airflow: type[FakeAirflow], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", "hive-platform", "1.0.0", "--env", "local", "--summary", "Faster; $(rm -rf /)"]) == 0

    ((dag, conf, run_id),) = airflow.started
    assert (dag, run_id.rpartition("-")[0]) == ("release", "hive-platform-1.0.0")
    assert conf == {
        "application": "hive-platform", "version": "1.0.0", "environment": "local", "summary": "Faster; $(rm -rf /)",
    }  # fmt: skip
    assert f"http://airflow/release/{run_id}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["release", "hive-platform", "v1", "--env", "local"], "not a version"),
        (["release", "hive-platform", "1.0.0", "--env", "lokal"], 'write "local"'),
        (["release", "hive-platform", "1.0.0", "--env", "local", "--drill", "2"], "drill_error_rate"),
        (["rollback", "hive-platform", "--env", "local", "--reason", ""], "reason"),
        (["rollback", "hive-plattform", "--env", "local", "--reason", "bad"], 'write "hive-platform"'),
        (["rollback", "hive-platform", "--env", "local"], "--reason"),
        (["plan", "hive-platform", "1.0", "--env", "local"], "not a version"),
        (["status", "hive-plattform"], 'write "hive-platform"'),
        (["status", "--env", "../local"], "there is no such environment"),
    ],
)
def test_bad_input_starts_nothing(
    airflow: type[FakeAirflow], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    airflow.started = []

    assert main(arguments) == 2

    said = "".join(capsys.readouterr())
    assert airflow.started == []
    assert words in said
    assert "Traceback" not in said


def test_nothing_is_started_while_the_watchdog_is_switched_off(
    airflow: type[FakeAirflow], capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.paused = ("watchdog",)

    assert main(["release", "hive-platform", "1.0.0", "--env", "local"]) == 4

    assert airflow.started == []
    assert "the DAG watchdog is paused" in capsys.readouterr().err


def test_what_failed_in_the_run_is_what_the_command_says(
    airflow: type[FakeAirflow], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", "hive-platform", "1.0.0", "--env", "local", "--watch"]) == 4

    assert "configure.check: Secret shop/secrets does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["release", "hive-platform", "1.0.0"], ["rollback", "hive-platform", "--reason", "worse"]]
)
def test_an_interrupted_watch_says_that_the_run_goes_on(
    airflow: type[FakeAirflow], capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    airflow.interrupted = True

    assert main([*command, "--env", "local", "--watch"]) == 130

    assert len(airflow.started) == 1
    assert "goes on by itself" in capsys.readouterr().out


def test_the_target_of_a_rollback_is_the_active_release_before_the_promoted_one() -> None:
    promoted = replace(RELEASE, id="promoted")
    both = SimpleNamespace(find=lambda *_: RELEASE, last_promoted=lambda *_: promoted)
    one = SimpleNamespace(find=lambda *_: None, last_promoted=lambda *_: promoted)

    assert rollback.active_or_promoted(both, "shop", "local") is RELEASE  # type: ignore[arg-type]
    assert rollback.active_or_promoted(one, "shop", "local") is promoted  # type: ignore[arg-type]
