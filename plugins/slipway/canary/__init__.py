"""The judge of a canary and the plan of its steps. Pure: no Airflow, no client, no clock; scipy inside functions."""

from slipway.canary.buckets import Histogram
from slipway.canary.counters import delta, delta_over, histogram_delta, total
from slipway.canary.evidence import (
    Counts,
    Evidence,
    Observed,
    PodState,
    Recent,
    RouterCounts,
    Source,
    observed_share,
    window_s,
)
from slipway.canary.judge import judge, judge_tasks
from slipway.canary.judgement import Judgement
from slipway.canary.latency import quantile
from slipway.canary.policy import Policy

__all__ = [
    "Counts",
    "Evidence",
    "Histogram",
    "Judgement",
    "Observed",
    "PodState",
    "Policy",
    "Recent",
    "RouterCounts",
    "Source",
    "delta",
    "delta_over",
    "histogram_delta",
    "judge",
    "judge_tasks",
    "observed_share",
    "quantile",
    "total",
    "window_s",
]
