"""Differences of counters and histograms between the start of a window and now. Pure.

Raw differences of the counters' values, and not `rate()` or `increase()`: those extrapolate to the window's edges,
need two samples inside it, and so see nothing of a pod that was born a moment ago.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from slipway.canary.buckets import MOST, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Series = TypeVar("Series")
"""What identifies one series: a hashable, for example the tuple of its label pairs, pod included."""


def delta(at_start: Mapping[Series, float], now: Mapping[Series, float]) -> dict[Series, float]:
    """Return how much each counter grew.

    - A series born after the start is counted from 0. So the values at the start must have been *read*: an empty answer
      is a window in which nothing ran yet, a failed query is none, and its caller must not pass {}.
    - A counter that is lower than before began anew (its process was restarted): what it shows now is the growth. What
      it counted between the start and its restart is lost; `delta_over` with all polls loses only one poll's worth.
    - A series that is gone has grown by 0 since its last value.
    - A value that is no count (NaN, infinite, negative) is no value; where it is the first one, the next one is the
      start of its series.

    :param at_start: value of each series when the window began.
    :param now: the same now.
    """
    return delta_over((at_start, now))


def delta_over(points: Iterable[Mapping[Series, float]]) -> dict[Series, float]:
    """Return how much each counter grew over several readings; the first one is the start of the window.

    The more readings, the less is lost where processes restart or pods go.
    """
    last: dict[Series, float] = {}
    grown: dict[Series, float] = {}
    unread: set[Series] = set()
    for index, point in enumerate(points):
        for series, value in point.items():
            known = series in last
            if not (math.isfinite(value) and value >= 0):
                if not known:
                    unread.add(series)
                continue
            born = index > 0 and series not in unread
            before = last[series] if known else 0.0 if born else value
            growth = value - before if value >= before else value
            grown[series] = min(grown.get(series, 0.0) + growth, MOST)
            last[series] = value
    return grown


def total(grown: Mapping[Series, float]) -> float:
    """Add up what several series grew by, exactly, so that their order does not matter."""
    return min(math.fsum(grown.values()), MOST)


def histogram_delta(at_start: Mapping[Series, Histogram], now: Mapping[Series, Histogram]) -> Histogram:
    """Return what was observed since the start, over all series.

    A series began anew when its count or any of its buckets is lower than before, or its bounds are others; then all
    of its buckets count from 0, as a mixture of old and new buckets would not be cumulative any more.

    :param at_start: one histogram a series (pod, route), as at the start; born later means absent here.
    :param now: the same now.
    """
    whole = Histogram()
    for series in now:
        whole += _grown(at_start.get(series), now[series])
    return whole


def _grown(before: Histogram | None, now: Histogram) -> Histogram:
    if before is None or [bound for bound, _ in before.buckets] != [bound for bound, _ in now.buckets]:
        return now
    pairs = list(zip((*now.buckets, (math.inf, now.count)), (*before.buckets, (math.inf, before.count)), strict=True))
    if any(counted < earlier for (_, counted), (_, earlier) in pairs):
        return now
    return Histogram.raised((bound, counted - earlier) for (bound, counted), (_, earlier) in pairs)
