"""Releases that no user meets: one is judged by its pods alone, the next by requests that slipway sends itself.

The second application, carried by the steps of a release without Airflow, in a namespace and a ledger of its own.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
from slipway.canary.plan import Stage
from slipway.errors import MetricsError
from slipway.flow import build, canary, configure, deploy, finish, followers, migrate, monitoring, watchdog
from slipway.flow.site import Site
from slipway.flow.step import Step
from slipway.flow.watch import watching
from slipway.hooks.load import Load
from slipway.hooks.sender import Order
from slipway.names import EventKind, ReleaseState, Verdict
from slipway.report import dossier, markdown
from slipway.spec.catalog import HOME_VARIABLE
from slipway.spec.parameters import ReleaseParameters

from tests.e2e.cluster import HOME, eventually, network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.ledger.models import Record

PROJECT = Path(__file__).parent / "second/project"
APPLICATION = "echo-page"
ENVIRONMENT, NAMESPACE, HOST = "quiet", "test-synthetic-load", "quiet-page.testbed.internal"
FIRST, SECOND = "1.0.0", "1.1.0"
"""Those of the second application's own test, so that their images are there already."""
REQUESTS_PER_S = 40
WAIVED = 'load: {kind: waived, reason: "nobody uses the first version", until: "2027-12-31"}'
OURS = f"load: {{kind: synthetic, requests_per_s: {REQUESTS_PER_S}}}"
WATCH_S = 90


class Quiet:
    """The second application where nobody uses it.

    :param root: a project whose environment a test may rewrite; image and chart are those of the second application.
    """

    def __init__(self, root: Path) -> None:
        include = root / "include"
        for name in ("config", "releases"):
            (include / name).mkdir(parents=True)
        for name in ("app", "charts"):
            (include / name).symlink_to(PROJECT / "include" / name)
        spec = (PROJECT / f"include/releases/{APPLICATION}.yaml").read_text(encoding="utf-8")
        (include / f"releases/{APPLICATION}.yaml").write_text(f"{spec}\nsynthetic_paths: [/version, /]\n")
        self._file = include / f"config/{ENVIRONMENT}.yaml"

    def carry(self, version: str, load: str) -> Record:
        """Carry a version to its promotion, as the tasks of a release do, and return its record."""
        text = (PROJECT / "include/config/bench.yaml").read_text(encoding="utf-8")
        for old, new in (
            ("name: bench", f"name: {ENVIRONMENT}"),
            ("namespace: test-second-application", f"namespace: {NAMESPACE}"), ("load: {kind: live}", load),
            (f"url: https://{APPLICATION}.testbed.internal", f"url: https://{HOST}"),
            ("  addresses:\n", f"  addresses:\n    {HOST}: {network().ingress}\n"),
        ):  # fmt: skip
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self._file.write_text(text, encoding="utf-8")
        asked = ReleaseParameters(application=APPLICATION, environment=ENVIRONMENT, version=version)
        watchdog.round_(Site.open(APPLICATION, ENVIRONMENT).ledger(), lambda _: "running")  # nothing begins without one
        site = configure.check(asked)
        releases = [configure.plan(site, asked, f"run-{version}", actor="test") for _ in range(2)]
        name = releases[0].id
        assert releases[1].id == name, "a repeated task plans nothing anew"
        configure.acquire(site, name, f"run-{version}")
        build.image(Step.open(name), "page")
        build.finish(Step.open(name))
        deploy.check(Step.open(name))
        deploy.upgrade(Step.open(name))
        migrate.migrate(Step.open(name))
        eventually("a Prometheus that reads the pods", lambda: is_seen(name), within_s=90)
        canary.start_pods(Step.open(name))
        if not Step.open(name).facts.base.is_first:
            for stage in (Stage.WEIGHT_10, Stage.WEIGHT_50):
                canary.raise_weight(Step.open(name), stage)
                passes(name, stage)
        canary.raise_weight(Step.open(name), Stage.WEIGHT_100)
        followers.upgrade_all(Step.open(name))
        passes(name, Stage.WEIGHT_100)
        canary.promote(Step.open(name))
        assert finish.settle(name, site.ledger(), failed="").state is ReleaseState.PROMOTED
        return site.ledger().record(name)


def is_seen(release: str) -> bool:
    """Say whether Prometheus reads the version that serves; it has just got to know that there is one."""
    try:
        monitoring.prove(Step.open(release))
    except MetricsError:
        return False
    return True


def passes(release: str, stage: Stage) -> None:
    """Watch a stage until there is a verdict, which has to be a PASS."""
    deadline = time.monotonic() + WATCH_S
    with watching(release, stage) as watch:
        while (found := watch.look()).judgement.verdict is Verdict.HOLD:
            assert time.monotonic() < deadline, found.judgement.reasons
            time.sleep(watch.poll_s)
    assert found.judgement.verdict is Verdict.PASS, found.judgement.reasons


@pytest.fixture(scope="module")
def quiet(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quiet]:
    assert namespace == NAMESPACE
    server, name = f"postgresql://postgres:testbed@{network().control}:5432", "test_synthetic_load"
    folder = tmp_path_factory.mktemp("quiet")
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
        patch.setenv("AIRFLOW_CONN_SLIPWAY_LEDGER", f"{server}/{name}")
        patch.setenv("SLIPWAY_STATE", str(folder / "state"))
        patch.setenv(HOME_VARIABLE, str(folder / "project"))
        patch.setenv("PATH", str(HOME.bin), prepend=os.pathsep)
        yield Quiet(folder / "project")
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_quiet_application_is_released_by_its_pods_and_then_by_slipways_own_load(
    quiet: Quiet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="slipway")
    begun = time.monotonic()
    first = quiet.carry(FIRST, WAIVED)
    print(f"{FIRST}: {time.monotonic() - begun:.0f} s")

    [waived] = [event for event in first.events if event.kind is EventKind.WAIVED and event.payload["what"] == LOAD]
    assert waived.payload["reason"] == "nobody uses the first version"
    [(asked, _)] = served(first).values()
    assert asked <= 2, "the smoke test of two pods, and nobody else"
    assert "no requests are asked for, 2 of the canary's 2 pods are ready" in passed(first)["weight-100"]
    assert f"**WAIVED** {LOAD}: nobody uses the first version" in markdown.render(dossier.assemble(first))
    assert not any("slipway sends" in line for line in caplog.messages)

    caplog.clear()
    begun = time.monotonic()
    second = quiet.carry(SECOND, OURS)
    print(f"{SECOND}: {time.monotonic() - begun:.0f} s; {served(second)}")

    assert list(passed(second)) == ["weight-10", "weight-50", "weight-100"]
    shares = {stage: new / (new + old) for stage, (new, old) in served(second).items()}
    assert shares == {"weight-10": pytest.approx(0.1, abs=0.06), "weight-50": pytest.approx(0.5, abs=0.15),
                      "weight-100": pytest.approx(1, abs=0.05)}  # fmt: skip
    starts = [line for line in caplog.messages if line.startswith(f"slipway sends {REQUESTS_PER_S} GETs a second to ")]
    ends = [line for line in caplog.messages if line.startswith("slipway's own load has ended: ")]
    # Three watches, and the moment in which followers change over.
    assert len(starts) == len(ends) == 4
    assert all(f"slipway-synthetic/1 ({second.release.id})" in line for line in starts)
    assert all(" 0 without an answer" in line for line in ends), ends
    assert not [
        one for one in psutil.process_iter(["cmdline"]) if second.release.id in " ".join(one.info["cmdline"] or [])
    ]


def test_a_load_that_is_not_trusted_by_its_certificate_says_so(bed: None) -> None:
    """Without the environment's authority the address is reached, and TLS refuses it."""
    load = Load(Order(f"https://{HOST}", ("/",), 20, "slipway-synthetic/1", address=str(network().ingress)))
    try:
        said = eventually("trouble", lambda: load.keep_up() or None, within_s=30)
    finally:
        load.stop()
    assert "does not get through" in said
    assert "CERTIFICATE_VERIFY_FAILED" in said


LOAD = "load of the canary"


def passed(record: Record) -> dict[str, str]:
    """Return what the judge said of each stage that it passed, in their order."""
    verdicts = [event.payload for event in record.events if event.kind is EventKind.VERDICT]
    return {str(one["stage"]): " ".join(one["reasons"]) for one in verdicts if one["verdict"] == "PASS"}


def served(record: Record) -> dict[str, tuple[float, float]]:
    """Return the requests of the new and of the old version in each stage."""
    found: dict[str, tuple[float, float]] = {}
    for sample in record.samples:
        numbers: dict[str, Any] = dict(sample.numbers)
        found[sample.stage] = (numbers["canary_requests"], numbers["stable_requests"])
    return found
