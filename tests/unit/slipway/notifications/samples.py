"""Messages for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from slipway.names import AbortedBy, Rule
from slipway.notifications.message import (
    Comparison,
    Message,
    ReleaseRef,
    aborted,
    approval_wanted,
    promoted,
    rollback_failed,
    rollback_finished,
    started,
)
from slipway.notifications.text import Unit

AT = datetime(2026, 11, 24, 3, 12, 7, tzinfo=UTC)
RELEASE = ReleaseRef(
    id="hive-platform-1.0.1-r7", application="hive-platform", version="1.0.1", environment="production"
)
NUMBERS = (
    Comparison(label="Error rate", unit=Unit.RATIO, canary=0.079, stable=0.0004, limit=0.05),
    Comparison(label="P95 latency", unit=Unit.SECONDS, canary=0.182, stable=None, limit=0.226),
)
LINKS = {"Airflow run": "https://airflow.example.com/runs/7?a=1&b=2", "Dashboard": "https://grafana.example.com/d/x"}


def bad_canary(release: ReleaseRef = RELEASE) -> Message:
    return aborted(
        release,
        at=AT,
        reason="7.9 % of 1,204 canary requests failed; the limit is 5.0 %.\nThe stable version failed 0.04 %.",
        aborted_by=AbortedBy.SLIPWAY,
        rule=Rule.ERROR_RATE,
        stable="1.0.0",
        comparisons=NUMBERS,
        requests_served=1204,
        requests_failed=95,
        exposure_s=42.3,
        facts={"Traffic weight": "10 %"},
        links=LINKS,
    )


def one_of_each() -> list[Message]:
    return [
        started(RELEASE, at=AT, actor="alice", summary="Faster scans", previous="1.0.0", links=LINKS),
        approval_wanted(RELEASE, at=AT, actor="alice", approvers=["bob", "carol"], until=AT + timedelta(hours=1)),
        promoted(RELEASE, at=AT, duration_s=754, previous="1.0.0", comparisons=NUMBERS, requests_served=90_210),
        bad_canary(),
        rollback_finished(
            RELEASE, at=AT, stable="1.0.0", duration_s=17.2, truths={"Traffic": "100 % on 1.0.0, observed"}
        ),
        rollback_failed(RELEASE, at=AT, error="helm: timed out", stable="1.0.0", command="scripts/release/rollback.sh"),
    ]
