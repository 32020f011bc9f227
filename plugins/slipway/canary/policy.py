"""The limits a canary is held to, and how long the judge waits for an answer. All times in seconds, rates 0 to 1."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rate = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
TESTS = 3
"""Sequential tests among which the error level is split: error rate, errors against stable, latency."""


class Policy(BaseModel):
    """What makes a canary bad, good, or undecided.

    :param max_error_rate: the user's rule: more is bad.
    :param max_latency_ratio: the user's rule: P95 of the canary over P95 of stable; more is bad.
    :param latency_floor_s: nothing below it is slow: 8 ms after 5 ms is 1.6 x, and nobody's trouble. 0 keeps to the
        ratio alone.
    :param max_error_ratio: canary's error rate over stable's that is still no worse; 1 means "proven worse at all".
    :param min_requests: canary requests below which there is no PASS, and a rate above the limit is not held against it
        unless it is proven.
    :param min_requests_latency: the same for P95, for both versions.
    :param min_tasks: finished tasks of a follower below which there is no PASS.
    :param alpha: probability that a healthy canary is taken back in one step, over all looks and all tests.
    :param gross_error_rate: above it a handful of requests is enough.
    :param gross_min_requests: that handful.
    :param no_data_deadline_s: how long after the end of the hold the judge waits for what is missing or in doubt.
    :param no_metrics_deadline_s: how long a source may be silent before the canary goes back unseen.
    :param max_sample_age_s: an older newest sample counts as silence.
    :param pods_deadline_s: how long a part of the canary's pods may be not ready.
    :param max_restarts: restarts of one canary pod in a window that are tolerated.
    :param share_tolerance: how far the observed share may be from the weight, 0 to 1, beside chance.
    :param share_deadline_s: how long it may be, from the start of the window.
    :param restart_s: a window longer than this is also judged by its end; see `Recent`. 0 switches that off.
    :param poll_s: seconds between two looks; the tests hold at any number of looks.
    :param power: with which a plan's holds must find what is to be found.
    :param requests_waived: the environment waives the load: no requests are asked for, and a PASS takes pods that were
        ready for the whole hold in their place. What requests there are, is judged all the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_error_rate: Rate = 0.05
    max_latency_ratio: Annotated[float, Field(gt=1, le=100)] = 1.5
    latency_floor_s: Seconds = 0
    max_error_ratio: Annotated[float, Field(ge=1, le=100)] = 1.0
    min_requests: Annotated[int, Field(ge=1)] = 50
    min_requests_latency: Annotated[int, Field(ge=1)] = 200
    min_tasks: Annotated[int, Field(ge=1)] = 20
    alpha: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    gross_error_rate: Rate = 0.5
    gross_min_requests: Annotated[int, Field(ge=5)] = 10
    no_data_deadline_s: Seconds = 300
    no_metrics_deadline_s: Seconds = 300
    max_sample_age_s: Seconds = 30
    pods_deadline_s: Seconds = 60
    max_restarts: Annotated[int, Field(ge=0)] = 0
    share_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.05
    share_deadline_s: Seconds = 60
    restart_s: Seconds = 60
    poll_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    power: Rate = 0.9
    requests_waived: bool = False

    @model_validator(mode="after")
    def _gross_is_more(self) -> Self:
        if self.gross_error_rate <= self.max_error_rate:
            raise ValueError(
                f"gross_error_rate ({self.gross_error_rate:g}) must be above max_error_rate ({self.max_error_rate:g})"
            )
        return self

    @property
    def enough_to_doubt(self) -> int:
        """Requests from which on a rate above the limit holds a PASS up, proven or not.

        Where no requests are asked for, a handful has to do: there may never be more, and then nothing else would.
        """
        return min(self.gross_min_requests, self.min_requests) if self.requests_waived else self.min_requests

    def restarts_in(self, hold_s: float) -> int:
        """Return in how many stretches a window is judged anew until its last deadline; 0 for a short window."""
        if not self.restart_s or hold_s <= self.restart_s:
            return 0
        return math.ceil((hold_s + self.no_data_deadline_s) / self.restart_s)

    def recent_start(self, start: datetime, now: datetime) -> datetime | None:
        """Return where the stretch begins that `Evidence.recent` has to tell of.

        The moments are fixed, `restart_s` apart, and a stretch is between one and two of these long: never so
        short that a handful of requests stands for it. None until the first one is behind us.

        :param start: of the window.
        """
        if not self.restart_s:
            return None
        begun = int((now - start).total_seconds() // self.restart_s) - 1
        return start + timedelta(seconds=begun * self.restart_s) if begun > 0 else None

    def level(self, hold_s: float, *, recent: bool) -> float:
        """Return the error level of one test in one stretch.

        `alpha` is split evenly over the three tests (union bound; a test that cannot be made in a step leaves its
        share unused). In a window with restarts, half goes to the window as a whole and half, evenly, to the
        stretches, so that a two hours' bake has no more false alarms than a hold of half a minute: the price is that
        log(1 / level) grows, from 8 to at most 14 nats or so.
        """
        share = self.alpha / TESTS
        stretches = self.restarts_in(hold_s)
        if not stretches:
            return share
        return share / 2 / stretches if recent else share / 2
