"""Environments: what production refuses, waivers, freezes, and the canary's policy."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from slipway.canary.policy import Policy
from slipway.names import Channel
from slipway.spec.environment import CanaryLimits, FreezeWeekly

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.spec.catalog import Catalog
    from slipway.spec.environment import Environment

Change = "Callable[[dict[str, Any]], object]"
HERE = "applications"


def settings(**groups: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        for group, values in groups.items():
            data["applications"]["hive-platform"]["settings"].setdefault(group, {}).update(values)

    return change


def put(*path: Any) -> Callable[[dict[str, Any]], object]:
    *above, last, value = path

    def change(data: dict[str, Any]) -> None:
        here: Any = data
        for step in above:
            here = here[step]
        here[last] = value

    return change


PRODUCTION_REFUSES = [
    (settings(process={"debug": True}), "settings.process.debug: debug is refused in production"),
    (settings(process={"log_level": "DEBUG"}), "settings.process.log_level: too talkative for production"),
    (settings(api={"cors_origins": ["*"]}), "settings.api.cors_origins[0]: wildcard or unencrypted origin"),
    (settings(api={"cors_origins": ["http://a.example"]}), "cors_origins[0]: wildcard or unencrypted origin"),
    (settings(api={"cors_origins": ["https://*.example"]}), "cors_origins[0]: wildcard or unencrypted origin"),
    (settings(database={"database_url": "sqlite:///x.db"}), "database.database_url: SQLite is refused in production"),
    (settings(database={"database_password": "postgres"}), "database.database_password: a secret is written out"),
    (put("scan", "waived", {"reason": "no time", "until": "2099-01-01"}), "scan.waived: production admits no waiver"),
    (
        put("canary", "load", {"kind": "waived", "reason": "no users", "until": "2099-01-01"}),
        "canary.load: production admits no waiver",
    ),
    (put("scan", "severities", ["CRITICAL"]), "scan.severities: production lets neither HIGH nor CRITICAL through"),
    (put("approval", {"required": False}), "approval.required: in production a person has to agree"),
    (put("registry", "insecure", True), "registry.insecure: production pulls over https only"),
    (put("canary", "retain_s", 20), "canary.retain_s: too short a bake for production"),
    (put("notifications", {}), "notifications: nobody would be told"),
    (put("applications", "hive-platform", "url", "http://hive.example.com"), "url: users reach production over https"),
]


@pytest.mark.parametrize(("change", "words"), PRODUCTION_REFUSES)
def test_production_refuses_what_development_forgives(
    refused: Callable[..., str], change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """7.1: production and development are isolated: debug, open CORS, SQLite, passwords, waivers are refused."""
    text = refused("production", change)
    assert words in text
    assert "postgres\n" not in text, "a default password is not repeated"


def test_staging_forgives_debug(load_changed: Callable[..., Environment]) -> None:
    assert load_changed("staging", settings(process={"debug": True})).name == "staging"


def test_a_waiver_holds_on_its_last_day_and_is_refused_after_it(
    load_changed: Callable[..., Environment], refused: Callable[..., str]
) -> None:
    change = put("scan", {"waived": {"reason": "no network", "until": "2026-12-31"}})
    assert load_changed("staging", change, date(2026, 12, 31)).scan.waived is not None
    assert "scan.waived.until: the waiver has expired\n  found    2026-12-31" in refused(
        "staging", change, date(2027, 1, 1)
    )
    load = put("canary", "load", {"kind": "waived", "reason": "no users", "until": "2026-12-31"})
    assert "canary.load.until: the waiver has expired" in refused("staging", load, date(2027, 1, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("ledger", "postgresql://u:s3cret@h/d"), "ledger: a secret is written out"),
        (put("ledger", {"env": "A", "connection": "b"}), "ledger: exactly one of env, connection and file has to be"),
        (put("ledger", {}), "ledger: exactly one of env, connection and file"),
        (put("notifications", "slack", "https://hooks.slack.com/services/T0/B0/x"), "notifications.slack: a secret"),
        (put("canary", "load", {"kind": "syntetic", "requests_per_s": 1}), "canary.load: not one of the known kinds"),
        (put("canary", "load", {"kind": None}), "canary.load: not one of the known kinds"),
        (put("canary", "load", {"kind": ["live"]}), "canary.load: not one of the known kinds"),
        (put("canary", "load", {}), "canary.load: no kind is named"),
        (put("canary", "load", {"kind": "synthetic"}), "canary.load.requests_per_s: the key is missing"),
        (put("canary", "load", {"kind": "synthetic", "rps": 5}), "canary.load.rps: unknown key\n  allowed  kind, requ"),
        (put("canary", "steps", [{"weight": 10, "hold_s": 1}]), "steps: the weights are 10, 50 and 100"),
        (put("canary", "steps", 0, "hold", 3), "canary.steps[0].hold: unknown key"),
        (put("canary", "steps", 0, "hold", 3), "meant    hold_s?"),
        (put("canary", "limits", "alpha", 1), "canary.limits.alpha: too large\n  found    1\n  allowed  0.1 or less"),
        (put("canary", "limits", "max_error_rate", 0.6), "gross_error_rate has to be more than max_error_rate"),
        (put("approval", {"required": True}), "an approval is required, but nobody may give it"),
        (put("scan", {"waived": {"reason": "no", "until": "2027-01-01"}}), "scan.waived.reason: too short"),
        (put("scan", {"waived": {"reason": "none", "until": "soon"}}), "scan.waived.until: not a date"),
        (put("freezes", {"periods": [{"start": "2027-01-01T00:00:00", "end": "2027-01-02T00:00:00Z",
                                      "reason": "none"}]}),
         "freezes.periods[0].start: a moment without its time zone"),
        (put("freezes", {"weekly": [{"days": ["fri"], "start": "16:00", "end": "17:00", "time_zone": "Mars/Base",
                                     "reason": "none"}]}), "time_zone: not a time zone of the IANA list"),
        (put("name", "other"), "name: not the name of the file"),
        (put("kind", "prod"), "kind: not one of the known words\n  found    'prod'"),
        (put("cluster", "namespace", "a;rm -rf"), "cluster.namespace: not in the right form"),
        (put("registry", "prefix", "https://registry"), "registry.prefix: not in the right form"),
        (put("monitoring", "prometheus_url", "http://h/?token=abc"), "prometheus_url: a secret is written out"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(
    refused: Callable[..., str], change: Callable[[dict[str, Any]], object], words: str
) -> None:
    text = refused("staging", change)
    assert words in text
    assert "s3cret" not in text
    assert "services/T0" not in text


@pytest.mark.parametrize(
    ("moment", "frozen"),
    [
        ("2026-11-27T15:59:00+08:00", False),  # a Friday
        ("2026-11-27T16:00:00+08:00", True),
        ("2026-11-27T08:00:00+00:00", True),
        ("2026-11-28T12:00:00+08:00", True),
        ("2026-11-29T23:59:59+08:00", True),
        ("2026-11-30T00:00:00+08:00", False),
        ("2027-02-08T12:00:00+08:00", True),  # a Monday, in the Spring Festival
        ("2027-02-13T09:00:00+08:00", True),  # a Saturday
        ("2027-02-15T09:00:00+08:00", False),
    ],
)
def test_a_freeze_is_told_in_its_own_time_zone(catalog: Catalog, moment: str, frozen: bool) -> None:
    reason = catalog.environment("production").freeze_reason(datetime.fromisoformat(moment))
    assert (reason is not None) is frozen


def test_a_freeze_over_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    night = FreezeWeekly(days=("mon",), start="22:00", end="06:00", time_zone="UTC", reason="At night.")
    assert night.holds(datetime(2026, 11, 30, 23, tzinfo=UTC))
    assert night.holds(datetime(2026, 12, 1, 5, 59, tzinfo=UTC))
    assert not night.holds(datetime(2026, 12, 1, 6, tzinfo=UTC))
    assert not night.holds(datetime(2026, 11, 30, 5, tzinfo=UTC))


def test_the_limits_are_those_of_the_judge(catalog: Catalog) -> None:
    environment = catalog.environment("production")
    step = environment.canary.steps[0]
    policy = Policy.model_validate(environment.canary.limits_of(step))
    assert (policy.min_requests, policy.no_data_deadline_s) == (1000, 3600)
    assert (policy.max_error_rate, policy.max_latency_ratio, policy.alpha) == (0.05, 1.5, 0.001)
    assert Policy.model_validate(CanaryLimits().model_dump()) == Policy()


def test_the_testbed_is_described_as_it_is(catalog: Catalog) -> None:
    local = catalog.environment("local")
    assert local.registry.repository("hive-platform", "backend") == (
        "registry.testbed.internal:5000/hive-platform/backend"
    )
    assert local.registry.push_repository("hive-platform", "backend") == "10.200.0.1:5000/hive-platform/backend"
    assert local.application("hive-platform").host == "hive.testbed.internal"
    assert set(local.notifications.channels()) == set(Channel)
    assert str(local.ledger) == "Airflow connection slipway_ledger"
    assert local.namespace_of("hive-platform") == "hive-local"
    assert all(20 <= step.hold_s <= 30 for step in local.canary.steps)
