"""Numbers as a person reads them at 3 a.m. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.canary.evidence import Counts


def percent(rate: float | None) -> str:
    """Write ``19.8 %``; ``unknown`` for None; two digits more where one would hide that it is not 0."""
    if rate is None:
        return "unknown"
    value = 100 * rate
    return f"{value:.3f} %" if 0 < value < 0.05 else f"{value:.1f} %"


def number(count: float) -> str:
    """Write a count: ``1,730``; the fraction of a count is noise."""
    return f"{round(count):,}"


def seconds(value: float) -> str:
    """Write a duration: ``84 ms``, ``1.25 s``, ``320 s``."""
    if not math.isfinite(value):
        return "for ever"
    if value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"


def rate_of(counts: Counts, unit: str = "requests") -> str:
    """Write ``19.8 % (38 of 192 requests)``."""
    return f"{percent(counts.rate)} ({number(counts.errors)} of {number(counts.trials)} {unit}".rstrip() + ")"


def compared(canary: Counts, stable: Counts) -> str:
    """Write both error rates: ``error rate 19.8 % (38 of 192 requests), stable 0.0 % (0 of 1,730)``."""
    other = f"stable {rate_of(stable, '')}" if stable.trials else "stable has no requests to compare with"
    return f"error rate {rate_of(canary)}, {other}"


def luck(level: float) -> str:
    """Write an error level: ``by chance less often than once in 3,000 releases``."""
    return f"by chance less often than once in {number(1 / level)} releases"
