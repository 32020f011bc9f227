"""The main job as its user meets it: `make demo`, then Airflow's REST API, the sinks, the ledger and the cluster.

Slow, because three releases with their holds cannot be shorter than their holds: about six minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.airflow import Airflow, Run
from tests.e2e.cluster import get, messages
from tests.e2e.release import DEMO_S, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Demo

CHANNELS = ("dingtalk", "slack", "mail")


@pytest.fixture
def airflow(demo: Demo) -> Iterator[Airflow]:
    with Airflow.login(environ=demo.environment) as client:
        yield client


@pytest.mark.timeout(DEMO_S + 300)
def test_the_demo_promotes_the_good_versions_and_takes_the_bad_one_back(demo: Demo) -> None:
    """7.6: a canary release succeeds in the test environment, and the automatic rollback triggers."""
    assert demo.code == 0, demo.text
    table = demo.text[demo.text.index("What happened") :]
    for version, ending in (("0.9.0", "PROMOTED"), ("1.0.0", "PROMOTED"), ("1.0.1", "ROLLED_BACK")):
        assert re.search(rf"{version}.*{ending}", table), table


def test_each_channel_was_told_once_of_each_occasion(demo: Demo) -> None:
    for channel in CHANNELS:
        for version, occasions in (("1.0.0", ("is on its way", "has 100 %")), ("1.0.1", ("was stopped", "is back on"))):
            told = [str(item) for item in messages(channel, demo.release_id(version))]
            for occasion in occasions:
                assert sum(occasion in one for one in told) == 1, f"{occasion} of {version} on {channel}: {told}"


def test_the_record_of_each_release_holds(demo: Demo) -> None:
    for version in ("0.9.0", "1.0.0", "1.0.1"):
        done = subprocess.run(
            [sys.executable, "-m", "slipway", "report", demo.release_id(version), "--markdown"],
            env=demo.environment, text=True, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert version in done.stdout


def test_after_a_rollback_the_four_truths_agree(demo: Demo) -> None:
    rollout = get("rollout", "hive-platform-backend", namespace=NAMESPACE)
    status = rollout["status"]
    assert status["phase"] == "Healthy"
    assert status["currentPodHash"] == status["stableRS"]
    pods = get("pods", namespace=NAMESPACE, **{"app.kubernetes.io/component": "backend"})["items"]
    serving = {pod["metadata"]["labels"]["rollouts-pod-template-hash"] for pod in pods if is_here(pod)}
    assert status["stableRS"] in serving
    route = get("traefikservice", "hive-platform-backend", namespace=NAMESPACE)
    weights = {item["name"]: item["weight"] for item in route["spec"]["weighted"]["services"]}
    assert weights == {"hive-platform-backend-stable": 100, "hive-platform-backend-canary": 0}


def test_signs_of_life_were_given_and_have_ended_with_their_releases(demo: Demo) -> None:
    """A canary's release holds the Lease while it is under way; one that is over leaves no age behind."""
    spec = get("lease", "slipway-hive-platform", namespace=NAMESPACE)["spec"]
    assert spec["leaseTransitions"] >= 1, "1.0.0 made it, 1.0.1 took it over"
    assert {"holderIdentity", "renewTime"}.isdisjoint(spec), spec


def is_here(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


GOOD = {"application": "hive-platform", "version": "1.1.0", "environment": "local"}


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({**GOOD, "verison": "1.1.0"}, "meant    version?"),
        ({**GOOD, "version": "1.0.0"}, "version 1.0.0 is released already"),
        ({**GOOD, "summary": "{{ 7 * 7 }} $(touch /tmp/slipway-was-here) ../../etc"}, ""),
    ],
    ids=["unknown-key", "released-already", "metacharacters-do-nothing"],
)
def test_bad_input_is_refused_in_configure_and_nothing_is_touched(
    airflow: Airflow, conf: dict[str, Any], sentence: str
) -> None:
    before = get("rollout", "hive-platform-backend", namespace=NAMESPACE)["metadata"]["generation"]
    run = airflow.trigger("release", conf, f"bad-{time.time_ns()}")
    if sentence:
        assert airflow.wait(run, within_s=90) == "failed"
        assert sentence in airflow.log(run, "configure.check"), airflow.log(run, "configure.check")
    else:
        airflow.wait_for_task(run, "configure.plan", {"success"}, within_s=90)
        airflow.mark_failed(run)
        airflow.wait_for_task(run, "settle", {"success", "failed", "upstream_failed", "skipped"}, within_s=120)
        assert not os.path.exists("/tmp/slipway-was-here")  # noqa: PTH110, S108
    assert get("rollout", "hive-platform-backend", namespace=NAMESPACE)["metadata"]["generation"] == before


@pytest.mark.timeout(200)
def test_a_person_takes_the_promoted_version_back_within_a_minute(airflow: Airflow, demo: Demo) -> None:
    """7.6: the rollback by hand takes less than a minute, also after the promotion."""
    conf = {"application": "hive-platform", "environment": "local", "reason": "a test of the way back"}
    run: Run = airflow.trigger("rollback", conf, f"back-{time.time_ns()}")
    assert airflow.wait(run, within_s=150) == "success", airflow.log(run, "roll_back")
    log = airflow.log(run, "roll_back")
    found = re.search(r"is rolled back, ([0-9.]+) s, all truths proved", log)
    assert found, log
    print(f"rollback after the promotion, decision to the last proof: {found.group(1)} s (the bound is 60 s)")
    assert float(found.group(1)) < 60
