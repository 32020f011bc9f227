"""Simulates releases and lets slipway's judge look at them: ``python -m benchmarks.judge --help``."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from slipway.canary import Counts, Evidence, Histogram, Observed, PodState, Policy, Source, judge, quantile
from slipway.canary.latency import P95, exceedance
from slipway.canary.power import Load, errors_hold_s, latency_hold_s
from slipway.canary.sequential import log_e_rate, log_e_slower, log_e_versus, needed
from slipway.names import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

HELP = """Simulate releases, and count how often and when the judge speaks.

It needs no cluster, and the same seed gives the same figures but for the times of a verdict. Progress goes to stderr.

\b
  python -m benchmarks.judge                 print the tables; about ten minutes
  python -m benchmarks.judge --runs 200      the same, coarser, in one minute
  python -m benchmarks.judge --write         the same into benchmarks/judge.md
"""
DOCUMENT = Path(__file__).parent / "judge.md"
MARKER = "<!-- Below this line everything is written by: python -m benchmarks.judge --write -->"
RELEASE_S = 600
POLICY = Policy()
NEED = needed(POLICY.level(POLICY.restart_s, recent=False))
SIGMA, MEDIAN_S = 0.6, 0.08
FINE = tuple(0.001 * 1.1**step for step in range(109))
COARSE = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
PEER_WINDOW_S, PEER_INTERVAL_S = 30, 5
Row = tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """How many of so many releases an alarm was raised in, and when."""

    after_s: tuple[int, ...]
    runs: int

    def __str__(self) -> str:
        if not self.after_s:
            return f"0 of {self.runs:,}"
        share = 100 * len(self.after_s) / self.runs
        many = f"{share:.0f} %" if share >= 1 else f"{len(self.after_s)} of {self.runs:,}"
        return f"{many}, {median(self.after_s):.0f} s"


def arrivals(source: Generator, rate: float, weight: int, errors: tuple[float, float]) -> tuple[NDArray[np.int64], ...]:
    """Return cumulative requests and errors of canary and stable, second by second."""
    found: list[NDArray[np.int64]] = []
    for part, error_rate in zip((weight, 100 - weight), errors, strict=True):
        requests = source.poisson(rate * part / 100, RELEASE_S)
        found += [np.cumsum(requests), np.cumsum(source.binomial(requests, error_rate))]
    return tuple(found)


def errors_table(runs: int, seed: int) -> list[Row]:
    """Look every second at releases of 600 s with a canary at 10 %, by each error test alone and by the peer's rule."""
    cells = [(0.005, 0.005), (0.02, 0.02), (0.05, 0.05), (0.02, 0.005), (0.08, 0.005), (0.2, 0.005)]
    rows: list[Row] = [
        ("requests/s", "stable", "canary", "against stable", "above 5 %", "either", "> 5 % in 30 s, every 5 s")
    ]
    for rate in (5, 20, 100):
        for canary, stable in cells:
            source = np.random.default_rng([seed, rate, round(1e4 * canary), round(1e4 * stable)])
            alarms = [_error_alarms(arrivals(source, rate, 10, (canary, stable))) for _ in range(runs)]
            seen = [Seen(tuple(at for at in column if at is not None), runs) for column in zip(*alarms, strict=True)]
            rows.append((str(rate), f"{100 * stable:g} %", f"{100 * canary:g} %", *map(str, seen)))
            progress(rows[-1])
    return rows


def _error_alarms(counted: Sequence[NDArray[np.int64]]) -> tuple[int | None, ...]:
    requests, errors, others, their_errors = (series.tolist() for series in counted)
    versus = absolute = None
    for second in range(RELEASE_S):
        canary = Counts.model_construct(requests=requests[second], errors=errors[second])
        stable = Counts.model_construct(requests=others[second], errors=their_errors[second])
        if versus is None and log_e_versus(canary, stable) >= NEED:
            versus = second + 1
        if absolute is None and log_e_rate(canary.errors, canary.requests, POLICY.max_error_rate) >= NEED:
            absolute = second + 1
        if versus and absolute:
            break
    either = min((at for at in (versus, absolute) if at), default=None)
    return versus, absolute, either, _peer_errors(requests, errors)


def _peer_errors(requests: Sequence[int], errors: Sequence[int]) -> int | None:
    for second in range(PEER_INTERVAL_S, RELEASE_S, PEER_INTERVAL_S):
        before = max(0, second - PEER_WINDOW_S)
        total = requests[second] - requests[before]
        if total and (errors[second] - errors[before]) / total > POLICY.max_error_rate:
            return second
    return None


def shares(bounds: Sequence[float], scale: float) -> NDArray[np.float64]:
    """Return the probability of each bucket, the one above all bounds included, for lognormal durations."""
    below = [(1 + math.erf(math.log(bound / MEDIAN_S / scale) / SIGMA / math.sqrt(2))) / 2 for bound in bounds]
    return np.diff([0.0, *below, 1.0])


def histogram(bounds: Sequence[float], counted: NDArray[np.int64]) -> Histogram:
    """Build a histogram from the numbers in its buckets; unchecked, as the check would cost more than the test."""
    cumulative = np.cumsum(counted).tolist()
    return Histogram.model_construct(buckets=tuple(zip(bounds, cumulative, strict=False)), count=cumulative[-1])


def latency_table(runs: int, seed: int) -> list[Row]:
    """Look every second at P95 with a canary whose durations are all a ratio longer."""
    fine, coarse = ("10 % wide", FINE), ("client defaults", COARSE)
    cells = [(rate, 10, ratio, fine) for rate in (5, 100) for ratio in (1.0, 1.3, 1.5, 2.0, 2.5)]
    cells += [(100, 50, ratio, fine) for ratio in (1.3, 1.5, 2.0)]
    cells += [(100, 10, ratio, coarse) for ratio in (1.0, 1.5, 2.5)]
    rows: list[Row] = [
        ("requests/s", "weight", "buckets", "true ratio", "slower requests", "P95 > 1.5 x in 30 s, every 5 s")
    ]
    for rate, weight, ratio, (name, bounds) in cells:
        source = np.random.default_rng([seed, rate, weight, round(100 * ratio), len(bounds)])
        alarms = [_latency_alarms(source, rate, weight, ratio, bounds) for _ in range(runs)]
        seen = [Seen(tuple(at for at in column if at is not None), runs) for column in zip(*alarms, strict=True)]
        rows.append((str(rate), f"{weight} %", name, f"{ratio:g}", *map(str, seen)))
        progress(rows[-1])
    return rows


def _latency_alarms(
    source: Generator, rate: float, weight: int, ratio: float, bounds: Sequence[float]
) -> tuple[int | None, int | None]:
    sides = []
    for part, scale in ((weight, ratio), (100 - weight, 1.0)):
        requests = source.poisson(rate * part / 100, RELEASE_S)
        sides.append(np.cumsum(source.multinomial(requests, shares(bounds, scale)), axis=0))
    canary, stable = sides
    ours = peer = None
    for second in range(RELEASE_S):
        if ours is None:
            found = exceedance(histogram(bounds, canary[second]), histogram(bounds, stable[second]), 1.5)
            if found and found.requests >= POLICY.gross_min_requests and log_e_slower(found, 1 - P95) >= NEED:
                ours = second + 1
        if peer is None and second and second % PEER_INTERVAL_S == 0:
            before = max(0, second - PEER_WINDOW_S)
            both = (quantile(histogram(bounds, side[second] - side[before]), P95) for side in (canary, stable))
            canary_s, stable_s = both
            if canary_s and stable_s and canary_s / stable_s > POLICY.max_latency_ratio:
                peer = second
        if ours and peer:
            break
    return ours, peer


@dataclass(frozen=True)
class Release:
    """A release that the whole judge looks at until it decides.

    :param errors: true error rates of canary and stable.
    :param ratio: of the canary's durations to stable's.
    """

    name: str
    rate: float
    errors: tuple[float, float] = (0.005, 0.005)
    ratio: float = 1.0
    weight: int = 10
    hold_s: int = 60


RELEASES = (
    Release("healthy", 100),
    Release("healthy", 20, hold_s=120),
    Release("healthy, hold 600 s", 100, hold_s=600),
    Release("healthy, 2 % errors like stable", 100, (0.02, 0.02)),
    Release("fails 2 %", 100, (0.02, 0.005), hold_s=600),
    Release("fails 8 %", 100, (0.08, 0.005)),
    Release("fails 20 %", 100, (0.2, 0.005)),
    Release("fails 20 %", 20, (0.2, 0.005), hold_s=120),
    Release("fails all", 20, (1.0, 0.005), hold_s=120),
    Release("twice as slow", 100, ratio=2.0),
    Release("database down: both fail 30 %", 100, (0.3, 0.3)),
)


def judge_table(runs: int, seed: int) -> list[Row]:
    """Let the whole judge look every second until it says PASS or FAIL."""
    head = ("canary", "requests/s", "hold", "PASS", "FAIL", "FAIL median", "FAIL 90 %", "rules that decided")
    rows: list[Row] = [head]
    for number, release in enumerate(RELEASES):
        source = np.random.default_rng([seed, 3, number])
        ends = [_end_of(source, release) for _ in range(runs)]
        failed = sorted(at for verdict, _, at in ends if verdict is Verdict.FAIL)
        rules = [rule for verdict, rule, _ in ends if verdict is Verdict.FAIL]
        counted = ", ".join(f"{rule} {rules.count(rule)}" for rule in sorted(set(rules)))
        times = (f"{median(failed):.0f} s", f"{failed[math.ceil(0.9 * len(failed)) - 1]} s") if failed else ("-", "-")
        passed = str(runs - len(failed))
        rows.append(
            (release.name, f"{release.rate:g}", f"{release.hold_s} s", passed, str(len(failed)), *times, counted)
        )
        progress(rows[-1])
    return rows


class Side:
    """One version that serves requests, second by second.

    :param rate: requests a second.
    :param ratio: of its durations to the usual ones.
    """

    def __init__(self, rate: float, error_rate: float, ratio: float) -> None:
        self.rate, self.error_rate, self.ratio = rate, error_rate, ratio
        self.requests = self.errors = 0
        self.counted: NDArray[np.int64] = np.zeros(len(FINE) + 1, dtype=np.int64)

    def serve(self, source: Generator) -> None:
        """Serve one second's requests."""
        requests = int(source.poisson(self.rate))
        self.requests += requests
        self.errors += int(source.binomial(requests, self.error_rate))
        self.counted = self.counted + source.multinomial(requests, shares_of(self.ratio))

    def observed(self, pods: tuple[PodState, ...]) -> Observed:
        """Return what is seen of it."""
        counts = Counts(requests=self.requests, errors=self.errors)
        return Observed(counts=counts, latency=histogram(FINE, self.counted), pods=pods)


def _end_of(source: Generator, release: Release) -> tuple[Verdict, str, int]:
    start, pods = datetime(2026, 1, 1, tzinfo=UTC), (PodState(name="pod", ready=True),)
    both = (
        Side(release.rate * release.weight / 100, release.errors[0], release.ratio),
        Side(release.rate * (100 - release.weight) / 100, release.errors[1], 1.0),
    )
    second = 0
    while True:
        second += 1
        for side in both:
            side.serve(source)
        canary, stable = (side.observed(pods) for side in both)
        evidence = Evidence(
            start=start, now=start + timedelta(seconds=second), hold_s=release.hold_s, canary=canary, stable=stable,
            weight=release.weight, sample_age_s=1, answered=tuple(Source),
        )  # fmt: skip
        judgement = judge(evidence, POLICY, elapsed_s=second)
        if judgement.verdict is not Verdict.HOLD:
            return judgement.verdict, str(judgement.rule or ""), second


_SHARES: dict[float, NDArray[np.float64]] = {}


def shares_of(scale: float) -> NDArray[np.float64]:
    """Return `shares` of the application's buckets, computed once."""
    if scale not in _SHARES:
        _SHARES[scale] = shares(FINE, scale)
    return _SHARES[scale]


def power_table(runs: int, seed: int) -> list[Row]:
    """Hold the plan's figures against simulation: within the computed hold, nine of ten must be found."""
    rows: list[Row] = [("what", "weight", "requests/s", "hold by the plan", "found in it")]
    usual = histogram(FINE, np.round(1e6 * shares_of(1.0)).astype(np.int64))
    for weight, rate in ((10, 20), (10, 100), (50, 20), (50, 100)):
        load = Load(requests_per_s=rate, latency=usual)
        source = np.random.default_rng([seed, 4, weight, rate])
        hold_s = errors_hold_s(weight, load, POLICY, 0.05)
        alarms = [_error_alarms(arrivals(source, rate, weight, (0.05, 0.005)))[2] for _ in range(runs)]
        rows.append(_within("5 % errors, stable 0.5 %", weight, rate, hold_s, alarms))
        hold_s = latency_hold_s(weight, load, POLICY, 2.0)
        alarms = [_latency_alarms(source, rate, weight, 2.0, FINE)[0] for _ in range(min(runs, 500))]
        rows.append(_within("P95 twice as long", weight, rate, hold_s, alarms))
        progress(rows[-2])
        progress(rows[-1])
    return rows


def _within(what: str, weight: int, rate: float, hold_s: float, alarms: Sequence[int | None]) -> Row:
    found = sum(at is not None and at <= hold_s for at in alarms) / len(alarms)
    # A release of the simulation ends before the longest holds do.
    seen = f"{100 * found:.0f} %" if hold_s <= RELEASE_S else "-"
    return what, f"{weight} %", f"{rate:g}", f"{hold_s:.0f} s", seen


def speed_table() -> list[Row]:
    """Time single verdicts, with the application's 109 buckets."""
    counted = [np.round(count * shares_of(1.0)).astype(np.int64) for count in (1000, 9000)]
    pods = (PodState(name="pod", ready=True),)
    canary, stable = (
        Observed(counts=Counts(requests=int(item.sum()), errors=5), latency=histogram(FINE, item), pods=pods)
        for item in counted
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    evidence = Evidence(
        start=now, now=now, hold_s=60, canary=canary, stable=stable, weight=10, sample_age_s=1, answered=tuple(Source)
    )
    text = evidence.to_json()
    times: dict[str, list[float]] = {"judge()": [], "JSON to verdict to JSON": []}
    judge(evidence, POLICY, elapsed_s=30)  # imports scipy
    for _ in range(2000):
        begun = time.process_time()
        judge(evidence, POLICY, elapsed_s=30)
        times["judge()"].append(1000 * (time.process_time() - begun))
        begun = time.process_time()
        judge(Evidence.from_json(text), POLICY, elapsed_s=30).to_json()
        times["JSON to verdict to JSON"].append(1000 * (time.process_time() - begun))
    rows: list[Row] = [("CPU time of", "limit", "median", "99 %", "n")]
    for name, taken in times.items():
        taken.sort()
        rows.append((name, "2 ms", f"{median(taken):.2f} ms", f"{taken[int(0.99 * len(taken))]:.2f} ms", "2,000"))
    return rows


def progress(row: Iterable[str]) -> None:
    """Say on stderr what was just found."""
    typer.echo(" | ".join(row), err=True)


def table(rows: Sequence[Row]) -> str:
    """Draw rows as a Markdown table, the first one as its head."""
    lines = [rows[0], tuple("---" for _ in rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(
    runs: Annotated[int, typer.Option(help="Simulated releases a row.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 7,
    write: Annotated[bool, typer.Option("--write", help="Put the tables into benchmarks/judge.md.")] = False,
) -> None:
    """Run all of it."""
    begun = time.monotonic()
    fewer = max(1, runs // 10)
    parts = {
        "## Time of a verdict": speed_table(),
        f"## The whole judge, {fewer:,} releases a row": judge_table(fewer, seed),
        f"## Error tests, {runs:,} releases of {RELEASE_S} s a row": errors_table(runs, seed),
        f"## Latency test, {runs // 4:,} releases of {RELEASE_S} s a row": latency_table(max(1, runs // 4), seed),
        f"## The plan's holds, {runs // 2:,} releases a row": power_table(max(1, runs // 2), seed),
    }
    text = "\n\n".join(f"{title}\n\n{table(rows)}" for title, rows in parts.items())
    stamp = f"Measured on {datetime.now(UTC):%Y-%m-%d}, seed {seed}, in {time.monotonic() - begun:.0f} s."
    if not write:
        typer.echo(f"{stamp}\n\n{text}")
        return
    head, marker, _ = DOCUMENT.read_text().partition(MARKER)
    if not marker:
        raise typer.BadParameter(f"{DOCUMENT} lacks the line {MARKER!r}")
    DOCUMENT.write_text(f"{head}{MARKER}\n\n{stamp}\n\n{text}\n")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(help=HELP)(main)
    app()
