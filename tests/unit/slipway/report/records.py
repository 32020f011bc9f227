"""Records of releases as the ledger would give them, chained by the real chain."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.ledger import chain
from slipway.ledger.models import Event, Receipt, ReceiptState, Record, Release, Sample
from slipway.names import Channel, EventKind, Occasion, ReleaseState

START = datetime(2026, 11, 24, 18, 20, tzinfo=UTC)
ID = "hive-platform-1.0.1-local-20261124T182000Z-ab12"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Recorder:
    """Writes events as the store does."""

    def __init__(self, version: str = "1.0.1", **details: Any) -> None:
        self.release = Release(
            ID, "hive-platform", version, "local", "manual__1", ReleaseState.PLANNED, 1, at(900), None, START, START,
            None, 0, chain.GENESIS,
        )  # fmt: skip
        self.events: list[Event] = []
        self.samples: list[Sample] = []
        self.receipts: list[Receipt] = []
        self.tell(0, EventKind.PLANNED, {"from": None, "to": "PLANNED", "epoch": 1, **details}, actor="ada")

    def tell(self, seconds: float, kind: EventKind, payload: dict[str, Any], actor: str = "slipway") -> None:
        event = Event(ID, len(self.events) + 1, at(seconds), actor, kind, payload, None, "")
        event = replace(event, hash=chain.hash_of(event, self.release.last_hash))
        self.events.append(event)
        self.release = replace(self.release, last_seq=event.seq, last_hash=event.hash)

    def go(self, seconds: float, to: ReleaseState, kind: EventKind = EventKind.STATE_CHANGED, **told: Any) -> None:
        payload = {**told, "from": self.release.state.value, "to": to.value, "epoch": self.release.epoch}
        self.release = replace(self.release, state=to)
        self.tell(seconds, kind, payload)

    def end(self, seconds: float) -> None:
        self.release = replace(self.release, ended_at=at(seconds), lease_until=None)

    def sample(self, seconds: float, stage: str, **numbers: float | None) -> None:
        self.samples.append(Sample(ID, at(seconds), stage, numbers))

    def verdict(self, seconds: float, stage: str, verdict: str, rule: str | None, reason: str, **numbers: Any) -> None:
        used = [sample for sample in self.samples if sample.stage == stage and sample.at <= at(seconds)]
        payload = {
            "stage": stage, "verdict": verdict, "rule": rule, "reasons": [reason], "numbers": numbers,
            "samples": len(used), "samples_digest": chain.digest(used), "judged_at": chain.moment(at(seconds)),
        }  # fmt: skip
        self.tell(seconds, EventKind.VERDICT, payload)

    def receipt(self, seconds: float, occasion: Occasion, channel: Channel, state: ReceiptState, detail: str) -> None:
        self.receipts.append(Receipt(ID, occasion, channel, state, 1, at(seconds), at(seconds + 1), detail))

    def record(self) -> Record:
        previous = replace(
            self.release, id="hive-platform-1.0.0-local-20261123T090000Z-cd34", version="1.0.0",
            state=ReleaseState.PROMOTED,
        )  # fmt: skip
        return Record(self.release, tuple(self.events), tuple(self.samples), tuple(self.receipts), previous)


def _until_canary(recorder: Recorder) -> None:
    recorder.tell(1, EventKind.APPROVED, {"by": "grace", "comment": "after lunch"}, actor="grace")
    for name, digit in (("backend", "a"), ("frontend", "b")):
        recorder.tell(20, EventKind.IMAGE_BUILT, {
            "image": name, "digest": f"sha256:{digit * 64}", "size_bytes": 142_300_000,
        })  # fmt: skip
    recorder.go(32, ReleaseState.BUILT)
    recorder.go(45, ReleaseState.DEPLOYED, EventKind.DEPLOYED, revision=4)
    recorder.go(71, ReleaseState.MIGRATED, EventKind.MIGRATED, revision="7f3a -> 9c1d", duration_s=3.2, rows=1_000_000)
    recorder.go(90, ReleaseState.MONITORED, EventKind.MONITORED, targets=9)
    recorder.go(96, ReleaseState.CANARY)
    recorder.tell(100, EventKind.STEP_STARTED, {"stage": "canary-10", "weight": 10})


def _polls(recorder: Recorder, begin: float, end: float, stage: str, weight: int, failing: float = 0.0) -> None:
    share, traffic = weight / 100, 100
    for second in range(0, int(end - begin) + 1, 2):
        canary = round(second * traffic * share)
        stable = round(second * traffic * (1 - share))
        wave = 0.012 * math.sin(second / 5)
        recorder.sample(
            begin + second, stage, canary_requests=canary, canary_errors=round(canary * failing),
            stable_requests=stable, stable_errors=round(stable * 0.003), canary_p95_s=0.21 + wave if second else None,
            stable_p95_s=0.2 - wave / 2, weight=weight, observed_share=share + wave / 2,
        )  # fmt: skip


def bad(summary: str = 'Merge faster; "20 %" of the requests fail') -> Record:
    recorder = Recorder(change_summary=summary, requested_by="ada", max_error_rate=0.05, max_p95_ratio=1.5,
                        link="https://airflow.example.org/dags/release/runs/manual__1")  # fmt: skip
    _until_canary(recorder)
    recorder.tell(101, EventKind.WAIVED, {
        "what": "CVE-2026-1234 in libssl", "reason": "not reachable", "by": "grace", "until": "2026-12-01",
    })  # fmt: skip
    _polls(recorder, 100, 130, "canary-10", 10)
    _polls(recorder, 132, 148, "canary-10-b", 10, failing=0.2)
    recorder.verdict(
        148, "canary-10-b", "FAIL", "ERROR_RATE", "20 % of the requests failed, limit 5 %", canary_requests=160,
        canary_errors=32, stable_requests=1440, stable_errors=4, canary_p95_s=0.213, stable_p95_s=0.201,
        evidence_needed_log10=3.4,
    )  # fmt: skip
    recorder.tell(148.4, EventKind.ABORTED, {"by": "slipway", "rule": "ERROR_RATE", "reason": "20 % > 5 %"})
    recorder.go(148.6, ReleaseState.ROLLING_BACK, EventKind.ROLLBACK_STARTED, reason="verdict FAIL ERROR_RATE")
    for second, truth in ((151, "traffic"), (155, "helm"), (158, "rollout"), (159, "schema")):
        recorder.tell(second, EventKind.TRUTH_PROVED, {"truth": truth, "ok": True, "found": "as it was"})
    recorder.go(160, ReleaseState.ROLLED_BACK, EventKind.ROLLBACK_FINISHED,
                duration_s=11.4, last_canary_response_s=2.1, budget_s=60)  # fmt: skip
    recorder.end(160)
    recorder.receipt(149, Occasion.ABORTED, Channel.DINGTALK, ReceiptState.DELIVERED, "errcode 0")
    recorder.receipt(149, Occasion.ABORTED, Channel.EMAIL, ReceiptState.FAILED, "connection refused")
    return recorder.record()


def good() -> Record:
    recorder = Recorder("1.0.0", change_summary="Archive cold tables", requested_by="ada", max_error_rate=0.05)
    _until_canary(recorder)
    _polls(recorder, 100, 130, "canary-10", 10, failing=0.004)
    recorder.verdict(130, "canary-10", "PASS", None, "errors 0.4 %, stable 0.3 %", canary_requests=300, canary_errors=1,
                     stable_requests=2700, stable_errors=8, canary_p95_s=0.21, stable_p95_s=0.2)  # fmt: skip
    recorder.tell(131, EventKind.STEP_STARTED, {"stage": "canary-50", "weight": 50})
    _polls(recorder, 132, 162, "canary-50", 50, failing=0.004)
    recorder.verdict(162, "canary-50", "PASS", None, "errors 0.4 %, stable 0.3 %", canary_requests=1500,
                     canary_errors=6, stable_requests=1500, stable_errors=4)  # fmt: skip
    recorder.tell(163, EventKind.STEP_STARTED, {"stage": "full", "weight": 100})
    recorder.go(164, ReleaseState.BAKING)
    _polls(recorder, 164, 194, "full", 100, failing=0.004)
    recorder.go(200, ReleaseState.PROMOTED, EventKind.PROMOTED)
    recorder.end(200)
    return recorder.record()
