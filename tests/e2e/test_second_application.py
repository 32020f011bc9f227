"""A second application, a page behind a chart of its own, is released by the same DAG: slipway knows none by name.

It is the least that a release spec admits: one container, no database, no followers, no settings, no secrets, and
other names everywhere. Slipway is given its folder by SLIPWAY_HOME; the Airflow is one of its own, beside that of this
machine.

Being small, it also is the one that is broken here: by bad input, and in the middle of its releases by the death of
its pods, of tasks, of Airflow's parts, of Prometheus and of the ledger. After each of them the next release begins, so
what one of them left behind would stop the one that follows.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import psutil
import pytest
from slipway.canary.plan import argo_steps
from slipway.errors import LedgerError
from slipway.ledger.states import FORWARD
from slipway.names import EventKind, ReleaseState
from slipway.spec.catalog import Catalog

from testbed import proc
from tests.e2e import page as pages
from tests.e2e import prometheus
from tests.e2e.cluster import apply, eventually, get, visit
from tests.e2e.load import Answer, lost
from tests.e2e.page import (
    APPLICATION,
    ENVIRONMENT,
    FAULTY,
    FIRST,
    PROJECT,
    RELEASE_S,
    RUN_S,
    SECOND,
    THIRD,
    nothing_is_lost,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slipway.ledger.models import Record, Release

    from tests.e2e.airflow import Run
    from tests.e2e.load import Load
    from tests.e2e.page import Page

ROOT = Path(__file__).parents[2]
OUTAGE_S = 60


def test_slipway_does_not_know_it_by_name() -> None:
    """All that tells the page from the platform stands in its own folder."""
    workload = Catalog(PROJECT).release(APPLICATION).workload
    names = (APPLICATION, workload.stable_service, workload.canary_service, workload.metrics.latency_histogram)
    code = [
        path
        for folder in ("plugins", "dags", "runtime", "scripts", "include")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in {".py", ".yaml", ".tpl", ".sh", ".json", ".md", ".j2"}
    ]
    assert len(code) > 100, "the search is blind"
    assert [path for path in code if any(name in path.read_text(encoding="utf-8") for name in names)] == []


@pytest.mark.timeout(2 * RELEASE_S + 240)
def test_it_is_installed_and_then_released_by_the_same_dag(page: Page) -> None:
    with page.users() as load:
        offered = page.airflow.get("/dags/release/details").json()["params"]["application"]["schema"]["enum"]
        assert offered == sorted([APPLICATION, *pages.BROKEN])
        first = page.release(FIRST)
        installed_at = time.time()
        second = page.release(SECOND)
        answers = load.stop()

    assert [one.state for one in page.store.recent(APPLICATION, ENVIRONMENT)] == [ReleaseState.PROMOTED] * 2
    assert passed(first) == ["weight-100"], "a first version shares its traffic with none"
    assert passed(second) == ["weight-10", "weight-50", "weight-100"]
    assert second.previous is not None
    assert second.previous.version == FIRST

    seen = visit(APPLICATION)
    assert (seen.status_code, f"<title>echo {SECOND}</title>" in seen.text) == (200, True), seen.text
    served = [answer for answer in answers if answer.at > installed_at]
    assert lost(served) == []
    assert shares(second, served) == {10: pytest.approx(0.1, abs=0.08), 50: pytest.approx(0.5, abs=0.1)}
    assert served[-1].version == SECOND

    rollout = get("rollout", pages.ROLLOUT, namespace=page.namespace)
    assert rollout["spec"]["strategy"]["canary"]["steps"] == argo_steps()
    assert rollout["status"]["stableRS"] == rollout["status"]["currentPodHash"]


# -- bad input, and a Prometheus that is away, in the same minute ---------------------------------------------------

CLUE = Path("/tmp/slipway-was-here")  # noqa: S108 - what a shell would leave
METACHARACTERS = f"{{{{ 7*7 }}}} $(touch {CLUE}) `touch {CLUE}`; touch {CLUE} ../../x"
NO_NAMES = ("{{ 7*7 }}", f"$(touch {CLUE})", "../../x", "nowhere")


def refused(serving: str) -> dict[str, tuple[dict[str, Any], str]]:
    """Return what is typed, above a release that would begin, and a part of the sentence that it is refused with.

    :param serving: the version that is promoted.
    """
    return {
        "unknown-key": ({"verison": FAULTY}, "meant    version?"),
        "released-already": ({"version": serving}, f"version {serving} is released already"),
        "one-is-active": ({}, f"{APPLICATION}-{THIRD}-{ENVIRONMENT}"),
        "unknown-key-in-a-spec": ({"application": pages.MISSPELT}, "meant    stable_service?"),
        "no-secret": ({"application": pages.NO_SECRET}, "nowhere does not exist (keys: TOKEN)"),
        "no-key-in-the-secret": ({"application": pages.NO_KEY}, f"{pages.SECRET} lacks OTHER"),
        "chart-does-not-render": ({"application": pages.NO_CHART}, "nobody has written this chart yet"),
        "no-such-rollout": ({"application": pages.NO_ROLLOUT}, "the chart renders no Rollout pages"),
    }


class Outage(NamedTuple):
    """A release at 10 % while Prometheus is away.

    :param away: ends when Prometheus answers again, with the seconds in which it did not.
    """

    run: Run
    away: Future[float]
    load: Load


@pytest.fixture(scope="class")
def outage(page: Page) -> Iterator[Outage]:
    page.ensure_installed()
    with page.users() as load, ThreadPoolExecutor(1) as beside:
        run = page.at_ten_percent(THIRD, summary=METACHARACTERS, ignore_freeze_reason=METACHARACTERS)
        away = beside.submit(prometheus.be_away, OUTAGE_S)
        eventually("a silent Prometheus", prometheus.is_silent, within_s=20)
        yield Outage(run, away, load)


class TestPrometheusIsAway:
    """Prometheus is down for a minute with a healthy canary at 10 %; meanwhile people type what they should not."""

    @pytest.mark.timeout(RUN_S + 60)
    def test_bad_input_is_refused_in_configure_and_nothing_is_touched(self, page: Page, outage: Outage) -> None:
        apply(page.namespace, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": pages.SECRET},
                               "stringData": {"TOKEN": "something"}})  # fmt: skip
        serving = page.store.last_promoted(APPLICATION, ENVIRONMENT)
        assert serving is not None
        typed = refused(serving.version)
        before = page.touched()
        runs = {name: page.trigger(**{"version": FAULTY, **conf}) for name, (conf, _) in typed.items()}
        said = {}
        for name, run in runs.items():
            assert page.airflow.wait(run, within_s=120) == "failed", name
            tasks = page.airflow.tasks(run)
            assert [task for task, state in tasks.items() if state in ("success", "failed")] == ["configure.check"]
            said[name] = page.airflow.log(run, "configure.check")
        missing = {name: said[name] for name, (_, sentence) in typed.items() if sentence not in said[name]}
        assert missing == {}
        assert [name for name, log in said.items() if "\n  do " not in log and "meant" not in log] == []
        assert page.touched() == before
        assert page.release_of(outage.run).state in FORWARD, "the release that is under way has noticed nothing"

    @pytest.mark.usefixtures("outage")
    @pytest.mark.parametrize("name", ["application", "environment", "version"])
    def test_what_names_nothing_is_refused_by_the_form(self, page: Page, name: str) -> None:
        for text in NO_NAMES:
            with pytest.raises(httpx.HTTPStatusError, match=rf"400 .*{name}"):
                page.trigger(**{"version": FAULTY, name: text})

    @pytest.mark.timeout(RUN_S)
    def test_the_canary_is_promoted_nevertheless(self, page: Page, outage: Outage) -> None:
        """A silent Prometheus says nothing about a canary, and slipway waits until it speaks again."""
        away_s = outage.away.result(timeout=180)
        assert away_s > OUTAGE_S
        assert page.airflow.wait(outage.run, within_s=RELEASE_S) == "success", page.told(outage.run)
        nothing_is_lost(outage.load.answers())
        record = page.store.record(page.release_of(outage.run).id)
        print(f"nobody could ask Prometheus for {away_s:.0f} s; passed {passed(record)}")
        assert passed(record) == ["weight-10", "weight-50", "weight-100"]
        assert watched_s(record, "weight-10") > OUTAGE_S, "the comparison is blind: 10 % was over before the outage"

    def test_parameters_are_data(self, page: Page, outage: Outage) -> None:
        """No shell, no template and no path is made of what a person types; it is shown as it was typed."""
        [planned] = [
            event.payload
            for event in page.store.events(page.release_of(outage.run).id)
            if event.kind is EventKind.PLANNED
        ]
        assert (planned["change_summary"], planned["ignore_freeze_reason"]) == (METACHARACTERS, METACHARACTERS)
        assert not CLUE.exists()


# -- faults in the middle of a release ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
def test_a_task_killed_in_the_build_ends_as_if_it_had_not_begun(page: Page, served: str) -> None:
    before = page.touched()
    run = page.trigger(f"1.4.{time.time() % 1e8:.0f}")  # one that was never built, so that it cannot be recognised
    programs = page.kill_task(run, "build.image", doing="buildah")
    eventually(
        "the end of the builder with its task", lambda: all(proc.is_dead(one.pid) for one in programs), within_s=10
    )
    page.ends(run, ReleaseState.CANCELLED)
    assert page.touched() == before
    assert page.stable() == served


@pytest.mark.timeout(RUN_S)
def test_a_task_killed_in_the_middle_of_helm_s_upgrade_is_taken_back(page: Page, served: str) -> None:
    """Helm is left "pending-upgrade", and would refuse every upgrade from then on."""
    with page.users() as load:
        run = page.trigger(FAULTY)
        eventually("an upgrade that is pending", lambda: is_caught_pending(page), within_s=120, every_s=0.02)
        programs = page.kill_task(run, "deploy.upgrade", doing="helm")
        eventually("the end of Helm with its task", lambda: all(proc.is_dead(one.pid) for one in programs), within_s=10)
        assert "pending-upgrade" in page.helm().values()
        page.ends(run, ReleaseState.ROLLED_BACK)
        nothing_is_lost(load.stop())
    page.assert_back_on(served)


def is_caught_pending(page: Page) -> bool:
    """Find Helm's upgrade, and let it run for moments only, until its revision is there and not yet deployed."""
    for process in page.processes():
        words = pages.command(process).split()
        if words[:2] == ["helm", "upgrade"] and "--dry-run=server" not in words:
            return is_stopped_pending(page, process)
    return False


def is_stopped_pending(page: Page, process: psutil.Process) -> bool:
    """Stop a process in the moment in which a revision is pending; False when it has ended before."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        process.suspend()
        if "pending-upgrade" in page.helm().values():
            return True
        process.resume()
        time.sleep(0.01)
    return False


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
def test_a_canary_that_crashes_again_and_again_costs_stable_users_nothing(page: Page, served: str) -> None:
    """Its only pod dies at 10 %, after its smoke test. What users lose until it is taken back, it alone has lost."""
    with page.users() as load:
        run = page.at_ten_percent(FAULTY)
        crashes = crash_until_taken_back(page, load)
        release = page.ends(run, ReleaseState.ROLLED_BACK)
        only_the_canary_loses(load.stop(), crashes)
    page.assert_back_on(served)
    assert aborted(page, release)["rule"] in DEAD_PODS


@pytest.mark.timeout(RUN_S)
def test_a_bad_canary_is_taken_back_while_the_ledger_is_away(page: Page, served: str) -> None:
    """The traffic does not wait for the record; the record arrives when the ledger is back."""
    with page.users() as load:
        run = page.at_ten_percent(FAULTY)
        release = page.release_of(run)
        # A watch that is open goes on without a ledger; one that begins has to read there what it is to watch.
        eventually("a look at the canary", lambda: page.store.samples(release.id), within_s=30)
        with page.ledger_away():
            with pytest.raises(LedgerError):
                page.store.release(release.id)
            crashes = crash_until_taken_back(page, load)
            page.airflow.wait_for_task(run, "canary.watch_10", {"failed"}, within_s=60)
        page.ends(run, ReleaseState.ROLLED_BACK)
        only_the_canary_loses(load.stop(), crashes)
    page.assert_back_on(served)
    assert aborted(page, release)["rule"] in DEAD_PODS


DEAD_PODS = ("CANARY_UNAVAILABLE", "POD_RESTARTS")
"""The rules that say that a canary's pods die."""


def crash_until_taken_back(page: Page, load: Load) -> tuple[float, float]:
    """Kill the canary's process whenever there is one, until no user is on it; return when that began and ended."""
    eventually("users on the canary", lambda: load.answers()[-1].version == FAULTY, within_s=20, every_s=0.01)
    begun = time.time()

    def crash() -> bool:
        for process in pages.processes_of(FAULTY):
            process.kill()
        return page.weight() == 0

    eventually("no user on the canary", crash, within_s=60, every_s=0.1)
    return begun, time.time()


def only_the_canary_loses(answers: list[Answer], crashes: tuple[float, float]) -> None:
    """Make sure that what was lost is the share of a canary at 10 %, and of the time in which it crashed."""
    begun, ended = crashes
    meanwhile = [answer for answer in answers if begun - 1 <= answer.at <= ended + 1]
    gone = lost(answers)
    print(f"{len(gone)} of {len(meanwhile)} requests lost in {ended - begun:.1f} s of crashes")
    assert [answer for answer in gone if answer not in meanwhile] == []
    # The router takes turns: one in ten goes to the canary. A stable user who lost something would be above it.
    assert len(gone) <= 0.1 * len(meanwhile) + 2


def aborted(page: Page, release: Release) -> Mapping[str, Any]:
    """Return what the ledger knows of the one abort of a release."""
    [found] = [event.payload for event in page.store.events(release.id) if event.kind is EventKind.ABORTED]
    print(found["reason"])
    return found


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
def test_a_task_killed_on_the_way_to_all_users_is_taken_back(page: Page, served: str) -> None:
    with page.users() as load:
        run = page.trigger(FAULTY)
        page.kill_task(run, "canary.all_traffic", within_s=RELEASE_S)
        assert page.weight() >= 50
        page.ends(run, ReleaseState.ROLLED_BACK)
        nothing_is_lost(load.stop())
    page.assert_back_on(served)


@pytest.mark.slow
@pytest.mark.timeout(RUN_S)
def test_a_person_stops_the_canary_by_marking_its_run_failed(page: Page, served: str) -> None:
    with page.users() as load:
        run = page.at_ten_percent(FAULTY)
        marked = time.monotonic()
        page.airflow.mark_failed(run)
        eventually("the users on the stable version", lambda: page.weight() == 0, within_s=30)
        print(f"run marked failed -> weight 0: {time.monotonic() - marked:.1f} s")
        page.ends(run, ReleaseState.ROLLED_BACK)
        nothing_is_lost(load.stop())
    page.assert_back_on(served)


@pytest.mark.slow
@pytest.mark.usefixtures("served")
@pytest.mark.timeout(RUN_S + 120)
def test_scheduler_and_triggerer_die_at_ten_percent_and_the_release_goes_on(page: Page) -> None:
    """The last one, because it promotes: nothing that the others left behind is in the way of a whole release."""
    with page.users() as load:
        run = page.at_ten_percent(FAULTY)
        page.kill("triggerer")
        page.kill("scheduler")
        assert page.airflow.wait(run, within_s=RELEASE_S) == "success", page.told(run)
        nothing_is_lost(load.stop())
    assert passed(page.store.record(page.release_of(run).id)) == ["weight-10", "weight-50", "weight-100"]
    page.stable()


def passed(record: Record) -> list[str]:
    """Return the stages that the judge passed, in their order."""
    return [str(one.payload["stage"]) for one in verdicts(record) if one.payload["verdict"] == "PASS"]


def watched_s(record: Record, stage: str) -> float:
    """Return how long a stage was watched until it passed."""
    [start] = [
        event.payload["start"]
        for event in record.events
        if event.kind is EventKind.STEP_STARTED and event.payload["stage"] == stage
    ]
    [end] = [one.at for one in verdicts(record) if (one.payload["verdict"], one.payload["stage"]) == ("PASS", stage)]
    return (end - datetime.fromisoformat(start)).total_seconds()


def verdicts(record: Record) -> list[Any]:
    """Return the events of verdicts."""
    return [event for event in record.events if event.kind is EventKind.VERDICT]


def shares(record: Record, answers: list[Answer]) -> dict[int, float]:
    """Return the new version's share of the requests at each weight below 100 %, as the users saw it."""
    found = {}
    for event in record.events:
        if event.kind is EventKind.STEP_STARTED and event.payload["weight"] < 100:
            # A second for the router to hear of it; the weight stays for the hold at least.
            start = datetime.fromisoformat(event.payload["start"]).timestamp()
            heard = [one for one in answers if start + 1 <= one.at <= start + event.payload["hold_s"]]
            found[event.payload["weight"]] = sum(one.version == SECOND for one in heard) / len(heard)
    return found
