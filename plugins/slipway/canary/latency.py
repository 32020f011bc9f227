"""Quantiles from buckets, and how many requests of the canary are slower than the stable version allows. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.canary.buckets import Histogram

P95 = 0.95
NARROW = 1.25
"""A bucket whose upper bound is at most this many times its lower one may be interpolated: the error is a few per
cent. The application's own buckets grow by 1.1; the usual client defaults by 2 to 2.5, with which a true 1.3 x reads
anywhere from 1.06 x to 1.93 x."""


@dataclass(frozen=True)
class Span:
    """A figure that buckets leave open: `low` and `high` are certain, `estimate` is interpolated between them."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True)
class Exceedance:
    """How many of the canary's requests are slower than `threshold_s`.

    :param requests: of the canary, with a known duration.
    :param slower: those above the threshold; interpolated where buckets are narrow, else what is certain.
    :param threshold_s: ratio x P95 of the stable version, or the policy's floor.
    :param stable_requests: the threshold's own sample, see `sequential.log_e_slower`.
    :param interpolated: the buckets were narrow enough; False means that a regression needs to be larger to be seen.
    """

    requests: float
    slower: float
    threshold_s: float
    stable_requests: float
    interpolated: bool


def quantile(histogram: Histogram, q: float) -> float | None:
    """Return a quantile in seconds, None when nothing was observed or there is no bucket.

    Linear within the bucket that holds the rank ``q x count``, from 0 in the first one; the highest finite bound when
    the rank is above it: as `histogram_quantile` of Prometheus does for classic histograms (`BucketQuantile` in
    promql/quantile.go), so the figure is the one that dashboards show.

    :param q: 0 to 1.
    """
    span = quantile_span(histogram, q)
    return None if span is None else span.estimate


def quantile_span(histogram: Histogram, q: float) -> Span | None:
    """Return a quantile with the bounds of its bucket; `high` is infinite above the highest bound."""
    if not histogram.count or not histogram.buckets:
        return None
    rank = q * histogram.count
    counts = [counted for _, counted in histogram.buckets]
    index = bisect_left(counts, rank)
    if index == len(counts):
        highest = histogram.buckets[-1][0]
        return Span(highest, highest, math.inf)
    upper = histogram.buckets[index][0]
    if index == 0 and upper <= 0:
        return Span(upper, upper, upper)
    lower, below = histogram.buckets[index - 1] if index else (0.0, 0.0)
    within = counts[index] - below
    part = (rank - below) / within if within else 1.0
    return Span(lower, lower + (upper - lower) * part, upper)


def slower_than(histogram: Histogram, threshold_s: float) -> Span:
    """Return how many observations are above a threshold.

    Certain are those above the next bound (`low`) and above the one before (`high`). Above the highest finite bound
    nothing is known of where they lie, so none is taken for slower.
    """
    bounds = [bound for bound, _ in histogram.buckets]
    index = bisect_left(bounds, threshold_s)
    lower, below = histogram.buckets[index - 1] if index else (0.0, 0.0)
    high = histogram.count - below
    if index == len(bounds):
        return Span(0.0, 0.0, high)
    upper, counted = histogram.buckets[index]
    low = histogram.count - counted
    width = upper - lower
    part = min(1.0, max(0.0, (threshold_s - lower) / width)) if width > 0 else 1.0
    return Span(low, high - (high - low) * part, high)


def exceedance(canary: Histogram, stable: Histogram, ratio: float, floor_s: float = 0.0) -> Exceedance | None:
    """Count the canary's requests that are slower than `ratio` x the stable version's P95.

    "P95 of the canary is above 1.5 x P95 of stable" says the same as "more than 5 % of the canary's requests are slower
    than 1.5 x P95 of stable", and the second form is a count, which a sequential test can take.

    Where the bucket of P95 or the one of the threshold is wider than `NARROW`, the bounds are taken that speak
    for the canary: the upper bound of stable's P95, and only the requests that are certainly slower. So coarse
    buckets cost power, never a healthy canary. None when the stable version has no P95, or one above its highest bound.

    :param floor_s: the threshold is never below it.
    """
    span = quantile_span(stable, P95)
    if span is None or not canary.buckets or not math.isfinite(span.high):
        return None
    threshold_s = max(ratio * span.estimate, floor_s)
    narrow = is_narrow(stable, span.estimate) and is_narrow(canary, threshold_s)
    if not narrow:
        threshold_s = max(ratio * span.high, floor_s)
    slower = slower_than(canary, threshold_s)
    counted = slower.estimate if narrow else slower.low
    return Exceedance(canary.count, counted, threshold_s, stable.count, narrow)


def is_narrow(histogram: Histogram, value_s: float) -> bool:
    """Tell whether the bucket that holds a value is narrow enough to be interpolated in."""
    bounds = [bound for bound, _ in histogram.buckets]
    index = bisect_left(bounds, value_s)
    if index in (0, len(bounds)) or bounds[index - 1] <= 0:
        return False
    return bounds[index] / bounds[index - 1] <= NARROW
