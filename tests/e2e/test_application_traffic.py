"""Story 7.3 under constant load: 50 requests a second over https; none may be lost, whatever is done below them.

Most requests come over connections that are kept, some over new ones; nothing is sent twice (see load.py).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.application import RELEASE, SELECTOR, Application, build_images, install, merged
from tests.e2e.cluster import eventually, get, is_ready, kubectl
from tests.e2e.load import Answer, Load, lost, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS = 8
RATE = 50
PODS = 3
OLD, NEW = "0.9.0", "1.0.0"
RECORDS = 20_000
"""Rows of the scans' history that the migration fills in batches."""


@pytest.fixture(scope="module")
def application(namespace: str) -> Iterator[Application]:
    # The autoscaler has tests of its own; here it would only take processor time from what is measured.
    made = install(namespace, build_images(OLD), redis=REDIS, backend={"autoscaling": {"maxReplicas": PODS}})
    eventually("three API pods", lambda: len(made.ready_since()) == PODS, within_s=30)
    yield made
    made.helm("uninstall", RELEASE)
    made.drop_database()


def test_the_old_version_serves_and_works_while_the_schema_becomes_the_new_one(application: Application) -> None:
    """7.3: deployed and verified: 0.9.0 stays Ready through the migration to 1.0.0, and no request is lost."""
    cluster = application.add_cluster()
    application.fill_history(application.scan(cluster), RECORDS)
    before = application.ready_since()
    with Load(application.namespace, RATE) as load:
        _is_under_way(load)
        application.migrate(merged(application.values, build_images(NEW).values()))
        application.scan(cluster)
        answers = load.stop()
    _nothing_is_lost(answers)
    assert Counter(answer.version for answer in answers).keys() == {OLD}
    assert application.ready_since() == before, "each pod is the one it was, Ready since the same moment"
    found = application.ask(
        "SELECT version_num, (SELECT count(*) FROM scan_records WHERE small_file_ratio IS NULL) FROM alembic_version"
    )
    assert found[0] == "0005"
    assert found[1] == 0, "every old record is filled, and those that 0.9.0 wrote meanwhile"


def test_a_rolling_restart_loses_no_request(application: Application) -> None:
    """7.3: PDB, rolling update without downtime."""
    before = application.ready_since()
    with Load(application.namespace, RATE) as load:
        _is_under_way(load)
        application.restart()
        eventually("three new pods", lambda: application.has_replaced(set(before), PODS), within_s=90)
        answers = load.stop()
    _nothing_is_lost(answers)


def test_a_drain_of_a_node_loses_no_request(application: Application) -> None:
    """7.3: PDB: a node is emptied, one pod after the other, without downtime."""
    pods = application.pods("backend")
    node, _ = Counter(pod["spec"]["nodeName"] for pod in pods).most_common(1)[0]
    leaving = {pod["metadata"]["name"] for pod in pods if pod["spec"]["nodeName"] == node}
    with Load(application.namespace, RATE) as load:
        _is_under_way(load)
        try:
            application.drain(node)
            eventually("three pods elsewhere", lambda: application.has_replaced(leaving, PODS), within_s=60)
            answers = load.stop()
            assert node not in {pod["spec"]["nodeName"] for pod in application.pods("backend")}
        finally:
            kubectl("uncordon", node)
    _nothing_is_lost(answers)


def test_followers_that_are_upgraded_at_half_the_traffic_leave_it_alone(application: Application) -> None:
    """A canary holds at 50 %; worker and beat become new beside it, and no Service, weight or share moves."""
    newer, namespace = build_images(NEW), application.namespace
    application.upgrade(merged(application.values, newer.values("backend")))
    for step in (1, 3, 6):
        application.holds_at(step)
        application.promote()
    application.holds_at(8)
    eventually("half of the route", lambda: application.weights() == {"stable": 50, "canary": 50}, within_s=10)
    before = _routing(namespace)
    with Load(namespace, RATE) as load:
        _is_under_way(load)
        application.upgrade(merged(application.values, newer.values("worker", "beat")))
        application.holds_at(1, "worker")
        application.promote("worker")
        eventually("followers of the new version", lambda: _run(application, newer.backend.digest), within_s=90)
        assert _routing(namespace) == before
        answers = load.stop()
    _nothing_is_lost(answers)
    of_new = sum(answer.version == NEW for answer in answers) / len(answers)
    assert abs(of_new - 0.5) < 0.1, of_new
    assert application.holds_at(8)["status"]["canary"]["weights"]["canary"]["weight"] == 50


def _routing(namespace: str) -> dict[str, Any]:
    """Return all that decides which pods serve whom, as the cluster has it."""
    services = get("service", namespace=namespace, **SELECTOR)["items"]
    routes = get("traefikservice", namespace=namespace)["items"]
    return {f"{item['kind']}/{item['metadata']['name']}": item["spec"] for item in (*services, *routes)}


def _run(application: Application, digest: str) -> bool:
    """Say whether worker and beat run an image, and nothing else."""
    pods = [pod for name in ("worker", "beat") for pod in application.pods(name)]
    images = {pod["spec"]["containers"][0]["image"].partition("@")[2] for pod in pods}
    return images == {digest} and all(is_ready(pod) for pod in pods) and application.is_in("Healthy", "worker")


def _is_under_way(load: Load) -> None:
    """Wait until the traffic flows, so that what is done next is done under it."""
    eventually("traffic", lambda: len(load.answers()) >= RATE, within_s=20)


def _nothing_is_lost(answers: list[Answer]) -> None:
    figures = summary(answers)
    print(f"\n{figures}")
    assert figures["requests"] >= 5 * RATE
    assert not lost(answers), f"{figures}: {lost(answers)[:5]}"
