"""What changes what: one digest one workload, new settings a new ConfigMap, and nothing that Argo owns."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.charts.chart import CHART, COMPONENTS, OVERLAYS, RELEASE, Objects, digest, render

WORKLOADS = {"backend": "Rollout", "worker": "Rollout", "beat": "Deployment", "frontend": "Deployment"}


def changed(before: Objects, after: Objects) -> set[str]:
    """Return the objects that differ, came or went; hooks of `helm test` too."""
    old, new = before.by_name, after.by_name
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_new_backend_digest_and_version_change_the_backend_s_rollout_alone(overlay: str) -> None:
    newer = {"backend": {"digest": digest("b"), "version": "1.0.1"}}
    assert changed(render(overlay), render(overlay, newer)) == {f"Rollout/{RELEASE}-backend"}


@pytest.mark.parametrize("component", ["worker", "frontend"])
def test_a_new_digest_changes_its_own_workload_alone(component: str) -> None:
    newer = {component: {"digest": digest("b"), "version": "1.0.1"}}
    assert changed(render(), render("", newer)) == {f"{WORKLOADS[component]}/{RELEASE}-{component}"}


def test_a_new_digest_of_beat_changes_the_test_pod_too() -> None:
    newer = {"beat": {"digest": digest("b")}}
    assert changed(render(), render("", newer)) == {f"Deployment/{RELEASE}-beat", f"Pod/{RELEASE}-test"}


def test_a_version_stands_on_its_own_workload_and_pods_and_never_in_a_selector() -> None:
    label = "app.kubernetes.io/version"
    objects = render("", {name: {"version": f"1.{number}.0"} for number, name in enumerate(COMPONENTS)})
    for number, name in enumerate(COMPONENTS):
        workload = objects.get(WORKLOADS[name], name)
        assert workload["metadata"]["labels"][label] == f"1.{number}.0"
        assert workload["spec"]["template"]["metadata"]["labels"][label] == f"1.{number}.0"
        assert label not in workload["spec"]["selector"]["matchLabels"]
    rest = [item for item in objects.all if item["kind"] not in {"Rollout", "Deployment"}]
    assert label not in json.dumps(rest)
    assert "helm.sh/chart" not in json.dumps(objects.all), "a new chart must not change every object"


class TestSettings:
    def config_of(self, objects: Objects, component: str) -> str:
        return str(objects.pod_specs[component]["containers"][0]["envFrom"][0]["configMapRef"]["name"])

    def test_live_in_an_immutable_kept_map_named_by_its_content(self) -> None:
        (config,) = render().of("ConfigMap")
        assert config["immutable"] is True
        assert config["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        for component in ("backend", "worker", "beat"):
            assert self.config_of(render(), component) == config["metadata"]["name"]
        changes: list[dict[str, Any]] = [{"process": {"log_level": "ERROR"}}, {"merge": {"merge_min_files": 3}}]
        names = {render("", {"settings": change}).of("ConfigMap")[0]["metadata"]["name"] for change in changes}
        assert len(names | {config["metadata"]["name"]}) == 3

    def test_are_made_by_a_hook_that_no_rollback_runs(self) -> None:
        # helm rollback refuses to touch an object that an earlier revision left behind (tests/e2e proves the way back).
        (config,) = render().of("ConfigMap")
        assert config["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"

    def test_become_what_the_application_reads(self) -> None:
        values = {
            "hive": {"storage_roots": ["file:///a", "webhdfs://b:9870/c"], "storage_timeout_s": 2.5},
            "process": {"debug": True},
            "api": {"cors_origins": []},
            "scan": {"scan_max_files": 10000000000},
        }
        config = render("staging", {"settings": values}).config
        assert config["APP_STORAGE_ROOTS"] == "file:///a,webhdfs://b:9870/c"
        assert config["APP_STORAGE_TIMEOUT_S"] == "2.5"
        assert config["APP_DEBUG"] == "true"
        assert config["APP_SCAN_MAX_FILES"] == "10000000000", "no exponent"
        assert config["APP_SCAN_SMALL_FILE_BYTES"] == "134217728"
        assert config["APP_SENTRY_SAMPLE_RATE"] == "1"
        assert "APP_CORS_ORIGINS" not in config, "an empty list keeps the default"
        assert "APP_VERSION" not in config, "the image says which version it is"
        assert "APP_FAULT_ERROR_RATE" not in config, "faults are the drill's own"

    def test_can_be_shown_to_the_canary_alone(self) -> None:
        old = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["settings"]
        new = {"settings": {"process": {"log_level": "ERROR"}}, "followerSettings": old}
        before, after = render(), render("", new)
        config = self.config_of(after, "backend")
        assert changed(before, after) == {f"Rollout/{RELEASE}-backend", f"ConfigMap/{config}"}
        for follower in ("worker", "beat"):
            assert self.config_of(after, follower) == self.config_of(before, follower)


def test_the_weights_and_the_hash_in_selectors_are_argo_s() -> None:
    for overlay in OVERLAYS:
        services = render(overlay).get("TraefikService", "backend")["spec"]["weighted"]["services"]
        assert services == [
            {"name": f"{RELEASE}-backend-stable", "port": 80},
            {"name": f"{RELEASE}-backend-canary", "port": 80},
        ]
        for role in ("stable", "canary"):
            selector = render(overlay).get("Service", f"backend-{role}")["spec"]["selector"]
            assert set(selector) == {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")}
