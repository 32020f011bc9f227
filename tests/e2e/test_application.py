"""Story 7.3 on the testbed: the chart installs from nothing, works, scales, survives a drain, and says what is wrong.

The boxes of the story are named in the tests' docstrings.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from slipway.hooks.cluster import connected
from slipway.hooks.evidence import abort_of
from slipway.hooks.heartbeat import Heartbeat
from slipway.names import AbortedBy
from slipway.rollouts.state import read

from tests.e2e.application import CHART, RELEASE, SELECTOR, Application, Images, build_images, install, merged
from tests.e2e.cluster import HOME, apply, eventually, get, is_ready, kubectl, network, query, visit, web
from tests.e2e.warehouse import DAYS, FILES_A_DAY

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS = 7
OTHER = "0.9.0"
"""Another digest. Any would do: this one is built for the tests of the traffic anyway, and accepts the newer schema."""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
READY_WITHIN_S = 60
MOST_PODS = 6
LONGEST_SILENCE_S = 15


@pytest.fixture(scope="module")
def images(bed: None) -> Images:
    return build_images("1.0.0")


@pytest.fixture(scope="module")
def application(images: Images, namespace: str) -> Iterator[Application]:
    switch = {"interval": "5s", "heartbeat": {"maxAgeSeconds": LONGEST_SILENCE_S}}
    values = {"backend": {"autoscaling": {"maxReplicas": MOST_PODS}}, "deadManSwitch": switch}
    made = install(namespace, images, redis=REDIS, **values)
    print(f"\ninstalled: {made.seconds}")
    yield made
    made.helm("uninstall", RELEASE)
    made.drop_database("_old", "_other")


def test_is_ready_within_a_minute(application: Application) -> None:
    """7.3: deployed in a test environment; Backend replicas = 3."""
    assert application.seconds["ready"] <= READY_WITHIN_S, application.seconds
    # The autoscaler may have made more already: starting takes CPU.
    assert _ready(application, "backend") >= 3


def test_the_page_and_the_api_share_one_https_host(application: Application) -> None:
    """7.3: Ingress (HTTPS + TLS)."""
    page = visit(application.namespace)
    assert page.status_code == 200
    assert "<title>Hive small files</title>" in page.text
    assert visit(application.namespace, "/api/v1/version").json()["version"] == "1.0.0"
    assert visit(application.namespace, "/metrics").status_code == 404, "figures are not for strangers"


def test_http_is_led_to_https(application: Application) -> None:
    """7.3: Ingress (HTTPS + TLS)."""
    host = f"{application.namespace}.testbed.internal"
    answer = httpx.get(f"http://{network().ingress}/", headers={"Host": host}, trust_env=False)
    assert (answer.status_code, answer.headers["Location"]) == (301, f"https://{host}/")


def test_a_scan_of_a_generated_tree_is_seen_over_https(application: Application) -> None:
    """7.3: deployed in a test environment and verified, by the work that the application is for."""
    with web(application.namespace) as client:
        root = "webhdfs://hive@hdfs:9870/warehouse"
        cluster = client.post("/api/v1/clusters", json={"name": "generated", "root_url": root}).json()
        task = client.post("/api/v1/scan-tasks", json={"cluster_id": cluster["id"]}).json()

        def ended() -> dict[str, Any] | None:
            now: dict[str, Any] = client.get(f"/api/v1/scan-tasks/{task['id']}").json()
            return now if now["status"] in {"success", "failed"} else None

        scan = eventually("the scan's end", ended, within_s=30)
        tables = client.get("/api/v1/tables", params={"cluster_id": cluster["id"]}).json()["items"]
    small = DAYS * FILES_A_DAY
    assert (scan["status"], scan["tables"], scan["files"], scan["small_files"]) == ("success", 2, small + 3, small + 2)
    found = {item["table_name"]: (item["total_files"], item["small_files"]) for item in tables}
    assert found == {"orders": (small, small), "archive": (3, 2)}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: the page was not looked at")
def test_the_page_shows_the_scan_in_a_browser(application: Application) -> None:
    """7.3: deployed in a test environment and verified, as a user sees it."""
    from playwright.sync_api import sync_playwright

    host = f"{application.namespace}.testbed.internal"
    # The certificate is checked by the other tests: this browser does not know the testbed's CA.
    arguments = ["--no-sandbox", "--disable-gpu", f"--host-resolver-rules=MAP {host} {network().ingress}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"https://{host}/")
        page.get_by_role("button", name="sales.orders").wait_for(timeout=15_000)
        shown = page.locator("#tables-body").inner_text()
        browser.close()
    assert "sales.archive" in shown
    assert "67 %" in shown, "two of the archive's three files are small"


def test_a_merge_leaves_one_file_a_partition(application: Application) -> None:
    """7.3: deployed in a test environment and verified: a worker may write where it reads."""
    with web(application.namespace) as client:
        cluster = client.get("/api/v1/clusters").json()["items"][0]["id"]
        wanted = {"cluster_id": cluster, "database_name": "sales", "table_name": "orders", "partition": "day=1"}
        task = client.post("/api/v1/merge-tasks", json=wanted).json()

        def ended() -> dict[str, Any] | None:
            now: dict[str, Any] = client.get(f"/api/v1/merge-tasks/{task['id']}").json()
            return now if now["status"] in {"success", "failed"} else None

        merge = eventually("the merge's end", ended, within_s=30)
    assert (merge["status"], merge["files_before"], merge["files_after"]) == ("success", FILES_A_DAY, 1)


@pytest.mark.parametrize("queue", ["scan", "merge"])
def test_a_worker_takes_a_task_of_each_queue(application: Application, queue: str) -> None:
    """7.3: Celery workers, deployed and at work."""
    marker = f"probe-of-{queue}"
    pod = application.pods("backend")[0]["metadata"]["name"]
    command = ("python", "-m", "app.worker.probe", f"--queue={queue}", f"--marker={marker}")
    kubectl("exec", pod, f"--namespace={application.namespace}", "--", *command)

    def done() -> list[dict[str, Any]]:
        return [line for line in application.logs("worker", "2m") if line.get("marker") == marker]

    lines = eventually("the probe in a worker's log", done, within_s=20)
    assert [line["message"] for line in lines] == ["probe done"]


def test_helm_test_passes(application: Application) -> None:
    """7.3: verified in a test environment, with the chart's own test."""
    said = application.helm("test", RELEASE, "--logs")
    assert "Phase:          Succeeded" in said
    assert "ready, page and API answer; version 1.0.0" in said


def test_of_two_evictions_at_once_one_is_refused(application: Application) -> None:
    """7.3: PDB (a rolling update or a drain never takes two)."""

    def evict(pod: str) -> str:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{application.namespace}/pods/{pod}/eviction"
        command = ("create", f"--raw={path}", "--filename=-")
        return _kubectl_says(*command, stdin=json.dumps(body))

    names = [pod["metadata"]["name"] for pod in application.pods("backend")][:2]
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(evict, names))
    refused = [answer for answer in answers if "TooManyRequests" in answer]
    assert len(refused) == 1, answers
    assert "would violate the pod's disruption budget" in refused[0]
    eventually("three API pods again", lambda: _ready(application, "backend") >= 3, within_s=40)


class Canary(NamedTuple):
    """A canary at its first hold, and what there was before it."""

    revision: int
    values: dict[str, Any]
    before: dict[str, str]
    after: dict[str, str]


@pytest.fixture(scope="module")
def canary(application: Application, namespace: str) -> Canary:
    """The platform with a newer backend digest, held at 0 pods."""
    revision, values, before = application.revision, application.values, _specs(namespace)
    application.upgrade(merged(values, build_images(OTHER).values("backend")))
    application.holds_at(1)
    return Canary(revision, values, before, _specs(namespace))


def test_a_new_backend_digest_changes_the_backend_s_rollout_alone(application: Application, canary: Canary) -> None:
    """7.3: deployed and verified: image digests are isolated by component."""
    names = canary.before.keys() | canary.after.keys()
    changed = {name for name in names if canary.before.get(name) != canary.after.get(name)}
    assert changed == {f"Rollout/{RELEASE}-backend"}
    stable = {pod["spec"]["containers"][0]["image"].partition("@")[2] for pod in application.pods("backend")}
    assert stable == {build_images("1.0.0").backend.digest}, "no pod of the canary before it is promoted"


def test_an_upgrade_in_the_middle_of_a_canary_leaves_weights_and_selectors_alone(
    application: Application, canary: Canary, namespace: str
) -> None:
    """7.3: deployed and verified: helm and Argo Rollouts do not fight over one route."""
    for step in (3, 6):
        application.promote()
        application.holds_at(step)
    eventually("10 % of the route", lambda: application.weights() == {"stable": 90, "canary": 10}, within_s=10)
    seen = _routing(namespace)
    assert seen["stable"]["rollouts-pod-template-hash"] != seen["canary"]["rollouts-pod-template-hash"]
    application.upgrade(application.values)
    # A change that the canary's pods do not have: the upgrade has something to write this time.
    application.upgrade(merged(application.values, {"monitoring": {"alerts": {"queueLength": 999}}}))
    assert application.weights() == {"stable": 90, "canary": 10}
    assert _routing(namespace) == seen
    assert application.rollout()["status"]["currentStepIndex"] == 6


def test_a_canary_is_read_every_second_and_by_one_endpoint(
    application: Application, canary: Canary, namespace: str
) -> None:
    status = application.rollout()["status"]
    new, old = (
        f'up{{namespace="{namespace}", rollouts_pod_template_hash="{status[key]}"}}'
        for key in ("currentPodHash", "stableRS")
    )
    eventually("a reading a second", lambda: query(f"count_over_time({new}[6s]) >= 5"), within_s=30)
    assert len(query(new)) == len([pod for pod in application.pods("backend") if _role(pod) == "canary"]) == 1
    assert query(f"count_over_time({old}[6s]) > 4") == [], "the others are read every 2 s here"


def _role(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"].get("role", ""))


def test_the_cluster_itself_takes_back_a_canary_that_nobody_carries(
    application: Application, canary: Canary, namespace: str
) -> None:
    """While slipway's sign of life is renewed the canary stays, however old it gets; then the cluster aborts it."""
    run = application.rollout()["status"]["canary"]["currentBackgroundAnalysisRunStatus"]["name"]
    with connected(str(HOME.kubeconfig), None, namespace) as client:
        heartbeat = Heartbeat(client, RELEASE, "a-release", LONGEST_SILENCE_S)
        begun = datetime.now(UTC)

        def carried() -> list[float] | None:
            """Renew, and return the ages that the switch has seen, once it has seen them for longer than allowed."""
            assert heartbeat.renew(take=True)
            ages = _ages(namespace, run)
            newest = max(ages, default=begun)
            return (
                [age for age in ages.values() if age]
                if newest - begun > timedelta(seconds=LONGEST_SILENCE_S + 5)
                else None
            )

        ages = eventually("a switch that sees a carrier", carried, within_s=60, every_s=2)
        silent = time.monotonic()
        assert len(ages) > LONGEST_SILENCE_S / 5, ages
        assert max(ages) < LONGEST_SILENCE_S
        assert application.weights() == {"stable": 90, "canary": 10}

        eventually("the abort", lambda: application.is_in("Degraded"), within_s=LONGEST_SILENCE_S + 20)
        print(f"\nnobody carried it: taken back after {time.monotonic() - silent:.1f} s of silence")
        eventually("no user on the canary", lambda: application.weights() == {"stable": 100, "canary": 0}, within_s=10)
        state = read(application.rollout())
        abort = abort_of(state, state.current_hash)
        assert abort is not None
        assert (abort.by, abort.why[:19]) == (AbortedBy.DEAD_MAN_SWITCH, 'Metric "unattended"'), abort
        series = f'kube_lease_renew_time{{namespace="{namespace}"}}'
        assert len(query(series)) == 1
        assert heartbeat.end()
        eventually("no age of an ended sign of life", lambda: not query(series), within_s=20)


def test_a_rollback_finds_the_settings_that_were_kept(application: Application, canary: Canary, namespace: str) -> None:
    """7.3: deployed and verified: the way back from a release with new settings."""
    application.abort()
    newer = {"settings": {"process": {"log_retention_days": 31}}, "followerSettings": _live_settings(application)}
    application.upgrade(merged(application.values, newer))
    configs = {item["metadata"]["name"] for item in get("configmap", namespace=namespace, **SELECTOR)["items"]}
    assert len(configs) == 2, configs
    application.holds_at(1)
    application.rollback(canary.revision, canary.values)
    eventually("a healthy API on the old template", lambda: application.is_in("Healthy"), within_s=60)
    assert application.weights() == {"stable": 100, "canary": 0}
    kept = {item["metadata"]["name"] for item in get("configmap", namespace=namespace, **SELECTOR)["items"]}
    assert kept == configs
    assert _ready(application, "backend") >= 3


def test_one_worker_is_new_first_and_then_all(application: Application) -> None:
    """7.3: Celery workers, rolled out without a moment when nobody works."""
    newer = build_images(OTHER)
    application.upgrade(merged(application.values, newer.values("worker")))
    application.holds_at(1, "worker")
    new = f"{newer.backend.repository}@{newer.backend.digest}"
    assert _images_of(application, "worker").count(new) == 1
    assert _ready(application, "worker") >= 2
    application.promote("worker")
    eventually("all workers new", lambda: application.is_in("Healthy", "worker"), within_s=60)
    assert set(_images_of(application, "worker")) == {new}


def test_the_cluster_itself_takes_back_a_gross_failure(application: Application, namespace: str) -> None:
    """7.3: deployed and verified: the dead man's switch works without anybody who watches."""
    revision, values = application.revision, application.values
    bad = {"settings": {"fault": {"fault_error_rate": 0.9}}, "followerSettings": _live_settings(application)}
    application.upgrade(merged(values, bad))
    for step in (1, 3, 6):
        application.holds_at(step)
        application.promote()
    application.holds_at(8)
    with ThreadPoolExecutor(1) as users:
        stop = threading.Event()
        # 20 requests a second, half of them to the canary: enough to judge, too few to wake the autoscaler.
        users.submit(_visit_until, stop, namespace, pause_s=0.05)
        try:
            eventually("the abort", lambda: application.is_in("Degraded"), within_s=60)
        finally:
            stop.set()
    eventually("no user on the canary", lambda: application.weights() == {"stable": 100, "canary": 0}, within_s=10)
    message = application.rollout()["status"]["message"]
    assert re.search(r'Metric "gross-errors" assessed Failed due to failed \(1\) > failureLimit \(0\)', message), (
        message
    )
    application.rollback(revision, values)
    eventually("a healthy API", lambda: application.is_in("Healthy"), within_s=60)


def test_what_is_wrong_stands_in_one_log_line(application: Application, namespace: str) -> None:
    """7.3 (bad input): a missing Secret, another database and an old schema are named by the pod that is not Ready."""
    old = application.copy_database("_old", "UPDATE alembic_version SET version_num = '0002'")
    other = application.copy_database("_other", "UPDATE platform_identity SET application = 'somebody-else'")
    production = {"process": {"environment": "production"}}
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "no-secret": (
            {"existingSecret": "not-there", "settings": production},
            r"settings refused, not starting: .*APP_DATABASE_PASSWORD: the secret is missing",
        ),
        "no-password": (
            {"existingSecret": "not-there"},
            r"not ready: database: OperationalError: .*no password supplied",
        ),
        "other-database": (
            {"settings": application.settings(other)},
            rf"not ready: wrong database: {other} says somebody-else in development, expected hive-platform",
        ),
        "old-schema": (
            {"settings": application.settings(old)},
            r"not ready: schema: found 0002, expected 0005 or newer; run python -m app.migrate",
        ),
    }
    for name, (values, _) in cases.items():
        apply(namespace, *_lone_pod(application, name, values))
    for name, (_, reason) in cases.items():
        lines = eventually(f"{name}: its line", functools.partial(_reasons, namespace, name), within_s=60)
        assert len(lines) == 1, f"{name}: {lines}"
        assert re.search(reason, lines[0], re.DOTALL), f"{name}: {lines[0]}"
        assert application.password not in lines[0]
        assert not is_ready(get("pod", name, namespace=namespace)), name
    kubectl("delete", "pod", *cases, f"--namespace={namespace}", "--wait=false")


def test_every_object_is_accepted_by_the_api_server(application: Application, namespace: str) -> None:
    """7.3: values.yaml is a complete production configuration: each kind, with each router, on a real API server."""
    digests = [f"--set={name}.digest=sha256:{'a' * 64}" for name in ("backend", "worker", "beat", "frontend")]
    routers = (["--set=ingress.router=nginx", "--set=ingress.className=nginx"], ["--set=migration.enabled=true"])
    for more in routers:
        # Another release's name, so that these objects are new.
        text = application.helm("template", "other", str(CHART), "--no-hooks", *digests, *more)
        kubectl("apply", f"--namespace={namespace}", "--dry-run=server", "--filename=-", stdin=text)


def test_the_autoscaler_makes_pods_under_load(application: Application, namespace: str) -> None:
    """7.3: HPA (CPU > 70 % makes more pods)."""

    def has_room() -> int | None:
        now = int(application.rollout()["spec"]["replicas"])
        return now if now < MOST_PODS else None

    # Starting takes CPU, too: the autoscaler may still be up from an earlier test.
    before = eventually("room for more pods", has_room, within_s=90)
    stop = threading.Event()

    def scaled() -> dict[str, Any] | None:
        scaler: dict[str, Any] = get("hpa", f"{RELEASE}-backend", namespace=namespace)
        return scaler if scaler["status"]["currentReplicas"] > before else None

    with ThreadPoolExecutor(3) as load:
        for _ in range(3):
            load.submit(_visit_until, stop, namespace)
        try:
            scaler = eventually("a larger API", scaled, within_s=60)
            eventually("more API pods Ready", lambda: _ready(application, "backend") > before, within_s=60)
        finally:
            stop.set()
    metric = scaler["spec"]["metrics"][0]["resource"]
    assert metric == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    about = [f"--field-selector=involvedObject.name={RELEASE}-backend,reason=SuccessfulRescale", "--output=json"]
    events = json.loads(kubectl("get", "events", f"--namespace={namespace}", *about))["items"]
    reason = "cpu resource utilization (percentage of request) above target"
    assert any(reason in event["message"] for event in events), events


def _ages(namespace: str, run: str) -> dict[datetime, float]:
    """Return the ages of a carrier's last sign of life that an AnalysisRun has measured, by the moment; 0: none."""
    results = get("analysisrun", run, namespace=namespace).get("status", {}).get("metricResults", [])
    found = [item for result in results if result["name"] == "unattended" for item in result["measurements"]]
    return {datetime.fromisoformat(item["finishedAt"]): json.loads(item["value"])[0] for item in found}


def _visit_until(stop: threading.Event, namespace: str, pause_s: float = 0) -> None:
    """Ask the API again and again, as one user with one connection."""
    with web(namespace) as client:
        while not stop.wait(pause_s):
            client.get("/api/v1/tables")


def _kubectl_says(*arguments: str, stdin: str) -> str:
    """Run kubectl and return all it says, refusals too."""
    command = [str(HOME.bin / "kubectl"), f"--kubeconfig={HOME.kubeconfig}", *arguments]
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=60, check=False)
    return done.stdout + done.stderr


def _images_of(application: Application, component: str) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in application.pods(component)]


def _ready(application: Application, component: str) -> int:
    return sum(is_ready(pod) for pod in application.pods(component))


def _specs(namespace: str) -> dict[str, str]:
    """Return what each object of the release is told to be; the canary Service's selector is Argo's to move."""
    kinds = (
        "rollouts,deployments,services,configmaps,serviceaccounts,networkpolicies,pdb,hpa,podmonitors,prometheusrules,"
        "traefikservices,ingressroutes,middlewares,analysistemplates"
    )
    found = get(kinds, namespace=namespace, **SELECTOR)["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": json.dumps(item.get("spec", item.get("data")), sort_keys=True)
        + json.dumps(item["metadata"].get("labels"), sort_keys=True)
        for item in found
        if not (item["kind"] == "Service" and item["metadata"]["name"].endswith("-canary"))
    }


def _routing(namespace: str) -> dict[str, dict[str, str]]:
    roles = ("stable", "canary")
    return {
        role: get("service", f"{RELEASE}-backend-{role}", namespace=namespace)["spec"]["selector"] for role in roles
    }


def _live_settings(application: Application) -> dict[str, Any]:
    """Return the complete settings of the present revision, as a release hands them to the followers."""
    text = application.helm("get", "values", RELEASE, "--all", "--output=json")
    return dict(json.loads(text)["settings"])


def _lone_pod(application: Application, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a pod as the chart's Rollout would make it, outside of every Service, with the ConfigMap it needs."""
    objects = application.render(merged(application.values, values))
    template = next(
        item for item in objects if item["metadata"]["name"] == f"{RELEASE}-backend" and item["kind"] == "Rollout"
    )["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"alone": name}},
        "spec": {**template["spec"], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0},
    }
    configs = [item for item in objects if item["kind"] == "ConfigMap"]
    return [*configs, pod]


def _reasons(namespace: str, pod: str) -> list[str]:
    """Return the lines in which a pod says why it is not Ready."""
    text = kubectl("logs", pod, f"--namespace={namespace}", check=False)
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["message"].startswith(("not ready:", "settings refused"))]
