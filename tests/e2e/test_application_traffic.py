"""Story 7.3 under constant load: 50 requests a second over https; none may be lost, whatever is done below them.

Most requests come over connections that are kept, some over new ones; nothing is sent twice (see load.py).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.application import RELEASE, Application, build_images, install, merged
from tests.e2e.cluster import eventually, get, is_ready, kubectl, web
from tests.e2e.load import Answer, Load, lost, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS = 8
RATE = 50
OLD, NEW = "0.9.0", "1.0.0"
RECORDS = 20_000
"""Rows of the scans' history that the migration fills in batches."""
ROOT_URL = "webhdfs://hive@hdfs:9870/warehouse"


@pytest.fixture(scope="module")
def application(namespace: str) -> Iterator[Application]:
    # The autoscaler has tests of its own; here it would only take processor time from what is measured.
    made = install(namespace, build_images(OLD), redis=REDIS, backend={"autoscaling": {"maxReplicas": 3}})
    eventually("three API pods", lambda: len(_ready(made)) == 3, within_s=30)
    yield made
    made.helm("uninstall", RELEASE)
    made.drop_database()


def test_the_old_version_serves_and_works_while_the_schema_becomes_the_new_one(application: Application) -> None:
    """7.3: deployed and verified: 0.9.0 stays Ready through the migration to 1.0.0, and no request is lost."""
    with web(application.namespace) as client:
        cluster = client.post("/api/v1/clusters", json={"name": "generated", "root_url": ROOT_URL}).json()["id"]
        first = _scan(application, cluster)
        application.fill_history(first, RECORDS)
    before = _ready(application)
    with Load(application.namespace, RATE) as load:
        _is_under_way(load)
        application.migrate(merged(application.values, build_images(NEW).values()))
        _scan(application, cluster)
        answers = load.stop()
    _nothing_is_lost(answers)
    assert Counter(answer.version for answer in answers).keys() == {OLD}
    assert _ready(application) == before, "each pod is the one it was, Ready since the same moment"
    found = application.ask(
        "SELECT version_num, (SELECT count(*) FROM scan_records WHERE small_file_ratio IS NULL) FROM alembic_version"
    )
    assert found[0] == "0005"
    assert found[1] == 0, "every old record is filled, and those that 0.9.0 wrote meanwhile"


def test_a_rolling_restart_loses_no_request(application: Application) -> None:
    """7.3: PDB, rolling update without downtime."""
    before = _ready(application)
    with Load(application.namespace, RATE) as load:
        _is_under_way(load)
        application.restart()
        eventually("three new pods", lambda: _replaced(application, set(before)), within_s=90)
        answers = load.stop()
    _nothing_is_lost(answers)


def test_a_drain_of_a_node_loses_no_request(application: Application) -> None:
    """7.3: PDB: a node is emptied, one pod after the other, without downtime."""
    pods = application.pods("backend")
    node, number = Counter(pod["spec"]["nodeName"] for pod in pods).most_common(1)[0]
    leaving = {pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == node}
    assert len(leaving) == number
    with Load(application.namespace, RATE) as load:
        _is_under_way(load)
        try:
            application.drain(node)
            eventually("three pods elsewhere", lambda: _replaced(application, leaving), within_s=60)
            answers = load.stop()
            assert node not in {pod["spec"]["nodeName"] for pod in application.pods("backend")}
        finally:
            kubectl("uncordon", node)
    _nothing_is_lost(answers)


def _ready(application: Application) -> dict[str, str]:
    """Return since when each pod of the API is Ready, by name."""
    return {
        pod["metadata"]["name"]: next(
            item["lastTransitionTime"] for item in pod["status"]["conditions"] if item["type"] == "Ready"
        )
        for pod in application.pods("backend")
        if is_ready(pod)
    }


def _replaced(application: Application, old: set[str]) -> bool:
    """Say whether three pods are Ready, none of them an old one, and the old ones have ended."""
    everything = get("pods", namespace=application.namespace)["items"]
    is_gone = old.isdisjoint(pod["metadata"]["name"] for pod in everything)
    return is_gone and len(_ready(application)) == 3


def _is_under_way(load: Load) -> None:
    """Wait until the traffic flows, so that what is done next is done under it."""
    eventually("traffic", lambda: len(load.answers()) >= RATE, within_s=20)


def _scan(application: Application, cluster: int) -> int:
    """Have a worker scan the generated tree, and return the task's id."""
    with web(application.namespace) as client:
        task = client.post("/api/v1/scan-tasks", json={"cluster_id": cluster}).json()["id"]

        def ended() -> str | None:
            now: dict[str, Any] = client.get(f"/api/v1/scan-tasks/{task}").json()
            return str(now["status"]) if now["status"] in {"success", "failed"} else None

        assert eventually("the scan's end", ended, within_s=30) == "success"
    return int(task)


def _nothing_is_lost(answers: list[Answer]) -> None:
    figures = summary(answers)
    print(f"\n{figures}")
    assert figures["requests"] >= 5 * RATE
    assert not lost(answers), f"{figures}: {lost(answers)[:5]}"
