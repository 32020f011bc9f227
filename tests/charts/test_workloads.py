"""Pods, their numbers, their canary steps, and what they may do."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.charts.chart import COMPONENTS, OVERLAYS, POD_COMPONENTS, RELEASE, ROOT, digest, render

if TYPE_CHECKING:
    from types import ModuleType

STEPS: list[dict[str, Any]] = [
    {"setCanaryScale": {"replicas": 0}},
    {"pause": {}},
    {"setCanaryScale": {"weight": 10}},
    {"pause": {}},
    {"setWeight": 10},
    {"setCanaryScale": {"matchTrafficWeight": True}},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {}},
    {"setWeight": 100},
    {"pause": {}},
]
WITH_MIGRATION = {"migration": {"enabled": True}}


def app_names() -> ModuleType:
    """Return the application's names; the module needs nothing of the application's environment."""
    path = ROOT / "include/app/backend/app/names.py"
    spec = importlib.util.spec_from_file_location("app_names_of_the_backend", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestBackend:
    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_takes_exactly_the_steps_of_a_release(self, overlay: str) -> None:
        canary = render(overlay).get("Rollout", "backend")["spec"]["strategy"]["canary"]
        assert canary["steps"] == STEPS

    def test_is_told_its_services_and_its_route(self) -> None:
        canary = render().get("Rollout", "backend")["spec"]["strategy"]["canary"]
        assert (canary["stableService"], canary["canaryService"]) == (
            f"{RELEASE}-backend-stable",
            f"{RELEASE}-backend-canary",
        )
        assert canary["trafficRouting"] == {"traefik": {"weightedTraefikServiceName": f"{RELEASE}-backend"}}

    def test_keeps_the_stable_version_whole_and_never_skips_a_step(self) -> None:
        spec = render().get("Rollout", "backend")["spec"]
        assert "rollbackWindow" not in spec
        assert "dynamicStableScale" not in spec["strategy"]["canary"]
        assert spec["strategy"]["canary"]["abortScaleDownDelaySeconds"] == 30

    def test_retains_the_old_pods_as_long_as_it_is_told(self) -> None:
        changed = render("", {"canary": {"scaleDownDelaySeconds": 7200}})
        assert changed.get("Rollout", "backend")["spec"]["strategy"]["canary"]["scaleDownDelaySeconds"] == 7200

    def test_waits_at_no_pod_at_a_first_install_only(self) -> None:
        assert "paused" not in render().get("Rollout", "backend")["spec"]
        first = render("", {"firstInstall": True})
        assert first.get("Rollout", "backend")["spec"]["paused"] is True
        assert "paused" not in first.get("Rollout", "worker")["spec"]

    def test_has_three_pods_and_more_above_seventy_percent_of_cpu(self) -> None:
        """7.3: Backend replicas = 3; HPA (CPU > 70 %)."""
        scaler = render().get("HorizontalPodAutoscaler", "backend")["spec"]
        assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 10)
        assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
        target = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": f"{RELEASE}-backend"}
        assert scaler["scaleTargetRef"] == target

    def test_leaves_its_number_to_the_autoscaler_when_there_is_one(self) -> None:
        assert "replicas" not in render().get("Rollout", "backend")["spec"]
        without = render("", {"backend": {"autoscaling": {"enabled": False}}})
        assert without.get("Rollout", "backend")["spec"]["replicas"] == 3
        assert without.of("HorizontalPodAutoscaler") == []


class TestWorker:
    def test_has_five_pods_and_tries_one_first(self) -> None:
        """7.3: Celery worker replicas = 5."""
        spec = render().get("Rollout", "worker")["spec"]
        assert spec["replicas"] == 5
        assert spec["strategy"] == {
            "canary": {"maxSurge": 1, "maxUnavailable": 0, "steps": [{"setWeight": 20}, {"pause": {}}]}
        }

    @pytest.mark.parametrize(("replicas", "weight"), [(1, 100), (2, 50), (3, 33), (5, 20), (100, 1)])
    def test_one_pod_is_the_first_step_whatever_their_number(self, replicas: int, weight: int) -> None:
        spec = render("", {"worker": {"replicas": replicas}}).get("Rollout", "worker")["spec"]
        assert spec["strategy"]["canary"]["steps"][0] == {"setWeight": weight}

    def test_leaves_its_number_to_an_autoscaler(self) -> None:
        objects = render("", {"worker": {"autoscaling": {"enabled": True}}})
        assert "replicas" not in objects.get("Rollout", "worker")["spec"]
        assert objects.get("HorizontalPodAutoscaler", "worker")["spec"]["minReplicas"] == 5

    def test_reads_the_queues_that_tasks_are_routed_to(self) -> None:
        names = app_names()
        routed = {str(queue) for queue in names.QUEUE_OF_TASK.values()}
        command = render().pod_specs["worker"]["containers"][0]["command"]
        assert command[:4] == ["python", "-m", "app.worker", "--queues"]
        assert set(command[4].split(",")) == routed == {str(queue) for queue in names.Queue}


def test_beat_is_one_and_never_two() -> None:
    spec = render().get("Deployment", "beat")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_page_is_served_by_two_pods_without_a_gap() -> None:
    spec = render().get("Deployment", "frontend")["spec"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]) == (2, {"maxSurge": 1, "maxUnavailable": 0})


def test_a_drain_may_take_one_pod_at_a_time_and_is_never_stuck() -> None:
    """7.3: PDB."""
    for overlay in OVERLAYS:
        budgets = {item["metadata"]["name"]: item["spec"] for item in render(overlay).of("PodDisruptionBudget")}
        assert set(budgets) == {f"{RELEASE}-{name}" for name in ("backend", "worker", "frontend")}
        for spec in budgets.values():
            assert spec["maxUnavailable"] == 1
            assert "minAvailable" not in spec


class TestEveryPod:
    @pytest.fixture(params=OVERLAYS)
    def specs(self, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
        found = render(request.param, WITH_MIGRATION).pod_specs
        assert set(found) == set(POD_COMPONENTS)
        return found

    def test_may_do_nothing_that_it_need_not(self, specs: dict[str, dict[str, Any]]) -> None:
        for name, spec in specs.items():
            user = 101 if name == "frontend" else 10001
            context = spec["securityContext"]
            assert context["runAsNonRoot"] is True, name
            assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (user, user, user), name
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert spec["containers"][0]["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False), name
            assert spec["serviceAccountName"] == RELEASE, name

    def test_writes_into_a_small_tmp_alone(self, specs: dict[str, dict[str, Any]]) -> None:
        for name, spec in specs.items():
            assert spec["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}], name
            assert spec["containers"][0]["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}], name  # noqa: S108

    def test_says_what_it_needs_and_how_much_it_may_take(self, specs: dict[str, dict[str, Any]]) -> None:
        """7.3: values.yaml is complete: requests and limits everywhere."""
        for name, spec in specs.items():
            for kind in ("requests", "limits"):
                assert set(spec["containers"][0]["resources"][kind]) == {"cpu", "memory"}, name

    def test_is_named_by_a_digest(self, specs: dict[str, dict[str, Any]]) -> None:
        for name, spec in specs.items():
            assert spec["containers"][0]["image"].endswith("@" + digest("a")), name

    def test_has_three_probes_that_mean_three_things(self, specs: dict[str, dict[str, Any]]) -> None:
        for name in COMPONENTS:
            container = specs[name]["containers"][0]
            paths = [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")]
            expected = ["/healthz", "/", "/healthz"] if name == "frontend" else ["/health", "/ready", "/health"]
            assert paths == expected, name
            patience = container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"]
            assert patience >= 60, f"{name}: a slow start must not look like a dead process"
            ports = {port["name"] for port in container["ports"]}
            assert {container["readinessProbe"]["httpGet"]["port"]} <= ports, name

    def test_spreads_each_version_by_itself(self, specs: dict[str, dict[str, Any]]) -> None:
        hashes = {"backend": "rollouts-pod-template-hash", "worker": "rollouts-pod-template-hash",
                  "frontend": "pod-template-hash"}  # fmt: skip
        for name, label in hashes.items():
            spread = specs[name]["topologySpreadConstraints"]
            assert [item["topologyKey"] for item in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
            assert all(item["matchLabelKeys"] == [label] for item in spread), name

    def test_waits_before_the_signal_only_where_the_process_itself_does_not(
        self, specs: dict[str, dict[str, Any]]
    ) -> None:
        waiting = {name for name, spec in specs.items() if "lifecycle" in spec["containers"][0]}
        assert waiting == {"frontend"}
        seconds = specs["frontend"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert specs["frontend"]["terminationGracePeriodSeconds"] > seconds + 10, "and nginx's own shutdown timeout"


class TestGrace:
    def test_is_longer_than_what_the_settings_allow(self) -> None:
        values = {
            "settings": {"api": {"drain_s": 7.5, "shutdown_grace_s": 40}, "celery": {"worker_shutdown_grace_s": 90}}
        }
        specs = render("", values).pod_specs
        assert specs["backend"]["terminationGracePeriodSeconds"] == 8 + 40 + 5
        assert specs["worker"]["terminationGracePeriodSeconds"] == 90 + 10

    def test_may_be_longer_still(self) -> None:
        specs = render("", {"backend": {"terminationGracePeriodSeconds": 300}}).pod_specs
        assert specs["backend"]["terminationGracePeriodSeconds"] == 300


class TestMigrationJob:
    def test_is_not_part_of_a_release(self) -> None:
        for overlay in OVERLAYS:
            assert render(overlay).of("Job") == []

    def test_runs_the_new_backend_s_image_once(self) -> None:
        values = {
            "backend": {"digest": digest("b")},
            "migration": {"enabled": True, "attempt": 2, "pgOptions": "-c lock_timeout=2s",
                          "env": {"APP_DATABASE_URL": "postgresql+psycopg://hive@copy/hive"}},
        }  # fmt: skip
        job = render("", values).of("Job")[0]
        assert job["metadata"]["name"] == f"{RELEASE}-migrate-bbbbbbbbbb-2"
        assert "annotations" not in job["metadata"], "no hook: a release decides when"
        assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (0, 3600)
        pod = job["spec"]["template"]["spec"]
        container = pod["containers"][0]
        assert pod["restartPolicy"] == "Never"
        assert container["command"] == ["python", "-m", "app.migrate"]
        assert container["image"].endswith(digest("b"))
        given = {item["name"]: item.get("value") for item in container["env"]}
        assert given["PGOPTIONS"] == "-c lock_timeout=2s"
        assert given["APP_DATABASE_URL"] == "postgresql+psycopg://hive@copy/hive"

    def test_has_the_backend_s_environment(self) -> None:
        specs = render("", WITH_MIGRATION).pod_specs
        job, backend = (specs[name]["containers"][0] for name in ("migration", "backend"))
        assert json.dumps([job["env"], job["envFrom"]]) == json.dumps([backend["env"], backend["envFrom"]])
