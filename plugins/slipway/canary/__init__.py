"""The judge of a canary and the plan of its steps. Pure: no Airflow, no client, no clock; scipy inside functions."""

from slipway.canary.buckets import Histogram
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
from slipway.canary.judgement import Judgement
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
    "observed_share",
    "window_s",
]
