"""Every environment renders, passes helm lint --strict, and every object fits its schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.chart import CHART, NAMESPACE, OVERLAYS, RELEASE, helm, overlay_arguments, render
from tests.charts.schemas import problems

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "nginx": {"ingress": {"router": "nginx", "className": "nginx"}},
    "first install": {"firstInstall": True},
    "everything": {
        "migration": {"enabled": True, "pgOptions": "-c lock_timeout=2s", "env": {"APP_LOG_LEVEL": "DEBUG"}},
        "worker": {"autoscaling": {"enabled": True}},
        "deadManSwitch": {"heartbeat": {"ageQuery": "time() - my_last_sign_of_life_timestamp_seconds"}},
        "imagePullSecrets": ["registry"],
        "priorityClassName": "high",
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "hive", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "nothing optional": {
        "backend": {"autoscaling": {"enabled": False}},
        "deadManSwitch": {"enabled": False},
        "monitoring": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "ingress": {"redirectHttp": False, "tls": {"secretName": ""}},
    },
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_passes_lint(overlay: str) -> None:
    """7.3: the Helm chart passes lint."""
    done = helm("lint", "--strict", str(CHART), *overlay_arguments(overlay))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_fits_its_schema(overlay: str, variant: str) -> None:
    found = {name: problems(item) for name, item in render(overlay, VARIANTS[variant]).by_name.items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_is_found_that_is_high_or_critical(overlay: str, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(yaml.safe_dump_all(render(overlay, VARIANTS["everything"]).all), encoding="utf-8")
    trivy = Path(sys.executable).with_name("trivy")
    command = [str(trivy), "config", "--quiet", "--skip-check-update", "--skip-version-check", "--format=json",
               "--severity=HIGH,CRITICAL", f"--cache-dir={tmp_path / 'cache'}", str(rendered)]  # fmt: skip
    done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["Results"]
    found = [f"{item['ID']} {item['Title']}: {item['Message']}" for item in result.get("Misconfigurations", [])]
    assert found == []
    assert result["MisconfSummary"]["Successes"] > 0, "a scan that checked nothing proves nothing"


def test_the_schemas_find_a_misspelt_field() -> None:
    rollout = render().get("Rollout", "backend")
    spelt = {**rollout, "spec": {**rollout["spec"], "minReadySecond": 1}}
    assert problems(spelt) == ["$.spec: Additional properties are not allowed ('minReadySecond' was unexpected)"]
    service = render().get("Service", "frontend")
    assert problems({**service, "spec": {**service["spec"], "selectors": {}}})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_carries_its_labels_and_namespace(overlay: str) -> None:
    for name, item in render(overlay).by_name.items():
        labels = item["metadata"]["labels"]
        assert item["metadata"]["namespace"] == NAMESPACE, name
        assert labels["app.kubernetes.io/name"] == "hive-platform", name
        assert labels["app.kubernetes.io/instance"] == RELEASE, name
        assert labels["app.kubernetes.io/part-of"] == "hive-platform", name
        assert labels["app.kubernetes.io/component"], name


def test_names_of_objects_follow_the_release_alone() -> None:
    names = set(render().by_name)
    assert {
        "Rollout/hive-platform-backend",
        "Rollout/hive-platform-worker",
        "Deployment/hive-platform-beat",
        "Deployment/hive-platform-frontend",
        "Service/hive-platform-backend-stable",
        "Service/hive-platform-backend-canary",
        "Service/hive-platform-frontend",
        "TraefikService/hive-platform-backend",
        "AnalysisTemplate/hive-platform-dead-man-switch",
    } <= names


def test_no_secret_is_ever_rendered() -> None:
    for overlay in OVERLAYS:
        assert render(overlay).of("Secret") == []
    for spec in render("", {"migration": {"enabled": True}}).pod_specs.values():
        for variable in spec["containers"][0].get("env", []):
            if "PASSWORD" in variable["name"] or "DSN" in variable["name"]:
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference == {"name": "hive-platform-secrets", "key": variable["name"], "optional": True}


@pytest.mark.parametrize("overlay", ["staging", "local"])
def test_an_overlay_is_small_and_changes_only_what_production_has(overlay: str) -> None:
    """7.3: values.yaml is the complete production configuration."""
    production = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    changed = yaml.safe_load((CHART / f"values-{overlay}.yaml").read_text(encoding="utf-8"))
    assert _unknown(changed, production) == []
    assert len(list(_leaves(changed))) < len(list(_leaves(production))) / 3


def test_the_local_requests_fit_two_cores() -> None:
    objects = render("local")
    cpu = {name: int(spec["containers"][0]["resources"]["requests"]["cpu"].removesuffix("m"))
           for name, spec in objects.pod_specs.items()}  # fmt: skip
    assert all(20 <= millicores <= 50 for millicores in cpu.values()), cpu
    most = objects.get("HorizontalPodAutoscaler", "backend")["spec"]["maxReplicas"]
    assert 2 * most * cpu["backend"] + 3 * cpu["worker"] + cpu["beat"] + 2 * cpu["frontend"] < 1000


def _unknown(part: Any, whole: Any, path: str = "") -> list[str]:
    if not isinstance(part, dict):
        return []
    found = [f"{path}{key}" for key in part if not isinstance(whole, dict) or key not in whole]
    for key in part.keys() & (whole or {}).keys():
        found += _unknown(part[key], whole[key], f"{path}{key}.")
    return found


def _leaves(value: Any) -> Any:
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    else:
        yield value
