"""Monitors, alerts that promtool accepts and that fire when they should, and the dead man's switch."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.charts.chart import NAMESPACE, OVERLAYS, RELEASE, refusal, render, tool

if TYPE_CHECKING:
    from pathlib import Path


def test_every_target_carries_its_pod_template_hash() -> None:
    ports = {"backend": "http", "worker": "metrics", "beat": "metrics"}
    for component, port in ports.items():
        spec = render().get("PodMonitor", component)["spec"]
        assert spec["podTargetLabels"] == ["rollouts-pod-template-hash", "app.kubernetes.io/component"]
        endpoint = {"port": port, "path": "/metrics", "interval": "5s"}
        assert {key: spec["podMetricsEndpoints"][0][key] for key in endpoint} == endpoint
        assert len(spec["podMetricsEndpoints"]) == (2 if component == "backend" else 1)
        listening = {
            item["name"]: item["containerPort"] for item in render().pod_specs[component]["containers"][0]["ports"]
        }
        assert listening == {"http": 8000} if component == "backend" else {"metrics": 9101}


class TestCanaryScrapes:
    LABEL = "__meta_kubernetes_pod_label_role"

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_a_pod_is_read_by_one_endpoint_of_one_monitor_canary_or_not(self, overlay: str) -> None:
        """By two, its requests would be counted twice; by two monitors, they would be while it changes over."""
        others, canary = render(overlay).get("PodMonitor", "backend")["spec"]["podMetricsEndpoints"]
        split = {"sourceLabels": [self.LABEL], "regex": "canary"}
        assert others["relabelings"] == [{"action": "drop", **split}]
        assert canary == {
            "port": "http", "path": "/metrics", "interval": "1s", "relabelings": [{"action": "keep", **split}],
        }  # fmt: skip

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_the_label_is_argo_s_to_give_and_to_take_and_no_part_of_the_template(self, overlay: str) -> None:
        spec = render(overlay).get("Rollout", "backend")["spec"]
        assert spec["strategy"]["canary"]["canaryMetadata"] == {"labels": {"role": "canary"}}
        # On the stable pods it would stay in their ReplicaSet's template, which a way back is made of.
        assert "stableMetadata" not in spec["strategy"]["canary"]
        assert "role" not in spec["template"]["metadata"]["labels"]

    def test_is_read_as_all_others_when_no_interval_is_given(self) -> None:
        objects = render("", {"monitoring": {"canaryScrapeInterval": ""}})
        (endpoint,) = objects.get("PodMonitor", "backend")["spec"]["podMetricsEndpoints"]
        assert endpoint == {"port": "http", "path": "/metrics", "interval": "5s"}
        assert "canaryMetadata" not in objects.get("Rollout", "backend")["spec"]["strategy"]["canary"]

    def test_an_interval_that_is_none_is_refused(self) -> None:
        assert "canaryScrapeInterval" in refusal({"monitoring": {"canaryScrapeInterval": "fast"}})


def test_monitors_and_rules_carry_the_labels_that_prometheus_selects_by() -> None:
    objects = render("", {"monitoring": {"labels": {"release": "kube-prometheus"}}})
    for item in (*objects.of("PodMonitor"), *objects.of("PrometheusRule")):
        assert item["metadata"]["labels"]["release"] == "kube-prometheus"


def rules(values: dict[str, Any] | None = None) -> dict[str, Any]:
    return dict(render("", values).get("PrometheusRule")["spec"])


def promtool(*arguments: str) -> None:
    done = subprocess.run([tool("promtool"), *arguments], text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def rule_file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rules()), encoding="utf-8")
    return path


def test_promtool_accepts_the_rules(rule_file: Path) -> None:
    promtool("check", "rules", str(rule_file))


def test_every_alert_says_how_bad_it_is_and_what_to_look_at() -> None:
    for rule in rules()["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"P0", "P1"}, rule["alert"]
        assert rule["labels"]["namespace"] == NAMESPACE
        assert set(rule["annotations"]) == {"summary", "description"}


NS = f'namespace="{NAMESPACE}"'
UP_BACKEND = {"series": f'up{{{NS}, app_kubernetes_io_component="backend"}}', "values": "1x60"}
UP_WORKER = {"series": f'up{{{NS}, app_kubernetes_io_component="worker"}}', "values": "1x60"}
TICK = {"series": f"celery_beat_last_tick_timestamp_seconds{{{NS}}}", "values": "0+15x60"}
WELL = [UP_BACKEND, UP_WORKER, TICK]
ELSEWHERE = 'namespace="other"'
ARGO = 'namespace="argo-rollouts"'
LEASE = f'lease="slipway-{RELEASE}"'


def without(series: dict[str, str]) -> list[dict[str, str]]:
    return [item for item in WELL if item is not series]


ALERTS: dict[str, tuple[list[dict[str, str]], str, set[str]]] = {
    "all is well": (WELL, "10m", set()),
    "the API is gone": ([*without(UP_BACKEND), {**UP_BACKEND, "values": "0x60"}], "5m", {"HiveApiAbsent"}),
    "workers are gone": (without(UP_WORKER), "5m", {"HiveWorkerAbsent"}),
    "workers are gone for a moment": (without(UP_WORKER), "1m", set()),
    "beat is gone": (without(TICK), "5m", {"HiveBeatSilent"}),
    "beat hangs": ([*without(TICK), {**TICK, "values": "0x60"}], "10m", {"HiveBeatSilent"}),
    "a tenth of the requests fails": (
        [
            *WELL,
            {"series": f'http_requests_total{{{NS}, status="200"}}', "values": "0+90x60"},
            {"series": f'http_requests_total{{{NS}, status="500"}}', "values": "0+10x60"},
        ],
        "6m",
        {"HiveApiErrors"},
    ),
    "another environment's requests fail": (
        [
            *WELL,
            {"series": f'http_requests_total{{{NS}, status="200"}}', "values": "0+90x60"},
            {"series": f'http_requests_total{{{ELSEWHERE}, status="500"}}', "values": "0+90x60"},
        ],
        "6m",
        set(),
    ),
    "few requests fail": (
        [
            *WELL,
            {"series": f'http_requests_total{{{NS}, status="200"}}', "values": "0+98x60"},
            {"series": f'http_requests_total{{{NS}, status="500"}}', "values": "0+2x60"},
        ],
        "6m",
        set(),
    ),
    "answers are slow": (
        [
            *WELL,
            {"series": f'http_request_duration_seconds_bucket{{{NS}, le="1"}}', "values": "0+10x60"},
            {"series": f'http_request_duration_seconds_bucket{{{NS}, le="4"}}', "values": "0+100x60"},
            {"series": f'http_request_duration_seconds_bucket{{{NS}, le="+Inf"}}', "values": "0+100x60"},
        ],
        "14m",
        {"HiveApiSlow"},
    ),
    "a queue grows": (
        [*WELL, {"series": f'celery_queue_length{{{NS}, queue="merge"}}', "values": "5000x60"}],
        "14m",
        {"HiveQueueLong"},
    ),
    "a rollout is degraded": (
        [
            *WELL,
            {"series": f'rollout_info{{{NS}, name="{RELEASE}-backend", phase="Degraded"}}', "values": "1x60"},
            {"series": f'rollout_info{{{ELSEWHERE}, name="{RELEASE}-worker", phase="Degraded"}}', "values": "1x60"},
        ],
        "5m",
        {"HiveRolloutDegraded"},
    ),
    "a rollout is degraded, as a scrape without honorLabels says it": (
        [
            *WELL,
            {
                "series": f'rollout_info{{{ARGO}, exported_{NS}, name="{RELEASE}-backend", phase="Degraded"}}',
                "values": "1x60",
            },
        ],
        "5m",
        {"HiveRolloutDegraded"},
    ),
    "a release is left alone": (
        [*WELL, {"series": f"kube_lease_renew_time{{{NS}, {LEASE}}}", "values": "0x60"}],
        "195s",
        {"HiveCanaryUnattended"},
    ),
    "a release is left alone, as a scrape without honorLabels says it": (
        [
            *WELL,
            {"series": f'kube_lease_renew_time{{namespace="kube-system", exported_{NS}, {LEASE}}}', "values": "0x60"},
        ],
        "195s",
        {"HiveCanaryUnattended"},
    ),
    "a release is silent for a moment": (
        [*WELL, {"series": f"kube_lease_renew_time{{{NS}, {LEASE}}}", "values": "0x60"}],
        "165s",
        set(),
    ),
    "a release is attended": (
        [*WELL, {"series": f"kube_lease_renew_time{{{NS}, {LEASE}}}", "values": "0+15x60"}],
        "14m",
        set(),
    ),
    "others are silent": (
        [
            *WELL,
            {"series": f"kube_lease_renew_time{{{ELSEWHERE}, {LEASE}}}", "values": "0x60"},
            {"series": f'kube_lease_renew_time{{{NS}, lease="leader"}}', "values": "0x60"},
        ],
        "14m",
        set(),
    ),
}


@pytest.mark.parametrize("case", ALERTS)
def test_fires_when_it_should(case: str, rule_file: Path, tmp_path: Path) -> None:
    series, at, expected = ALERTS[case]
    group = rules()["groups"][0]
    names = [rule["alert"] for rule in group["rules"]]
    # promtool compares labels and annotations, too; here only who fires is of interest.
    checks = [
        {"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)', "eval_time": at,
         "exp_samples": [{"labels": "{}", "value": int(name in expected)}]}
        for name in names
    ]  # fmt: skip
    test = {
        "rule_files": [str(rule_file)],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": series, "promql_expr_test": checks}],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(test), encoding="utf-8")
    promtool("test", "rules", str(path))


def holds_at_4m(query: str, given: dict[str, str], value: float, tmp_path: Path) -> None:
    """Have promtool hold a query, four minutes after the first of samples 15 s apart, against its value."""
    series = [{"series": name, "values": values} for name, values in given.items()]
    check = {"expr": query, "eval_time": "4m", "exp_samples": [{"labels": "{}", "value": value}]}
    test = {
        "fuzzy_compare": True,
        "tests": [{"interval": "15s", "input_series": series, "promql_expr_test": [check]}],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(test), encoding="utf-8")
    promtool("test", "rules", str(path))


class TestDeadManSwitch:
    def test_begins_with_the_first_user_s_request(self) -> None:
        canary = render().get("Rollout", "backend")["spec"]["strategy"]["canary"]
        assert canary["steps"][canary["analysis"]["startingStep"]] == {"setWeight": 10}
        assert canary["analysis"]["templates"] == [{"templateName": f"{RELEASE}-dead-man-switch"}]
        assert canary["analysis"]["args"] == [
            {"name": "canary-hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
        ]

    def test_has_hard_rules_only_and_patience_with_prometheus(self) -> None:
        metrics = render().get("AnalysisTemplate", "dead-man-switch")["spec"]["metrics"]
        conditions = {metric["name"]: metric["failureCondition"] for metric in metrics}
        assert conditions == {"gross-errors": "result[0] > 0.25", "unattended": "result[0] > 1800"}
        for metric in metrics:
            assert "successCondition" not in metric, "a doubtful canary is slipway's to judge"
            assert "count" not in metric, "until the end of the rollout"
            assert (metric["failureLimit"], metric["consecutiveErrorLimit"]) == (0, 30)

    def test_can_do_without_a_heartbeat(self) -> None:
        objects = render("", {"deadManSwitch": {"heartbeat": {"enabled": False}}})
        assert [metric["name"] for metric in objects.get("AnalysisTemplate", "dead-man-switch")["spec"]["metrics"]] == [
            "gross-errors"
        ]
        alerts = [rule["alert"] for rule in objects.get("PrometheusRule")["spec"]["groups"][0]["rules"]]
        assert "HiveCanaryUnattended" not in alerts

    @pytest.mark.parametrize(
        ("series", "age_s"),
        [
            ({f"kube_lease_renew_time{{{NS}, {LEASE}}}": "180x20"}, 60),
            ({f"kube_lease_renew_time{{exported_{NS}, {LEASE}}}": "200x20"}, 40),
            ({f"kube_lease_renew_time{{{NS}, {LEASE}}}": "180x4 stale"}, 0),  # ended
            ({f"kube_lease_renew_time{{{NS}, {LEASE}}}": "50x4 _x20"}, 10),  # Prometheus has been away since second 60
            (
                {
                    f'kube_lease_renew_time{{{NS}, {LEASE}, pod="a"}}': "120x20",
                    f'kube_lease_renew_time{{{NS}, {LEASE}, pod="b"}}': "180x20",
                },
                60,  # of two that watch the Lease, one may lag
            ),
            ({f"kube_lease_renew_time{{{ELSEWHERE}, {LEASE}}}": "0x20"}, 0),
            ({}, 0),  # no kube-state-metrics
        ],
    )
    def test_knows_the_age_of_slipway_s_lease(self, series: dict[str, str], age_s: float, tmp_path: Path) -> None:
        _, metric = render().get("AnalysisTemplate", "dead-man-switch")["spec"]["metrics"]
        holds_at_4m(metric["provider"]["prometheus"]["query"], series, age_s, tmp_path)

    def test_can_be_left_out(self) -> None:
        objects = render("", {"deadManSwitch": {"enabled": False}})
        assert objects.of("AnalysisTemplate") == []
        assert "analysis" not in objects.get("Rollout", "backend")["spec"]["strategy"]["canary"]

    @pytest.mark.parametrize(
        ("good", "bad", "share"),
        [
            ("0+40x20", "0+20x20", 1 / 3),  # per 15 s: 240 requests a minute, a third of them failed
            ("0+4x20", "0+4x20", 0),  # half of them failed, but only 32 a minute
            ("0+40x20", None, 0),
            (None, None, 0),  # silence is no failure
        ],
    )
    def test_its_query_counts_only_what_says_something(
        self, good: str | None, bad: str | None, share: float, tmp_path: Path
    ) -> None:
        metric, _ = render().get("AnalysisTemplate", "dead-man-switch")["spec"]["metrics"]
        query = metric["provider"]["prometheus"]["query"].replace("{{args.canary-hash}}", "abc")
        canary = f'{NS}, rollouts_pod_template_hash="abc"'
        stable = f'{NS}, rollouts_pod_template_hash="def"'
        given = {
            f'http_requests_total{{{canary}, status="200"}}': good,
            f'http_requests_total{{{canary}, status="503"}}': bad,
            f'http_requests_total{{{stable}, status="500"}}': "0+900x20",
        }
        holds_at_4m(query, {name: values for name, values in given.items() if values}, share, tmp_path)
