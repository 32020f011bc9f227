"""A histogram of durations as Prometheus keeps it: cumulative counts by upper bound. Pure."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST = 1e12
"""The largest count that is taken for one. Far above it, floats and their gamma functions no longer count by ones."""
Bound = Annotated[float, Field(allow_inf_nan=False)]
Cumulative = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]


class Histogram(BaseModel):
    """Cumulative buckets.

    :param buckets: pairs of upper bound in seconds (`le`, ascending, finite) and number of observations up to it.
    :param count: all observations; what Prometheus has under ``le="+Inf"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    buckets: tuple[tuple[Bound, Cumulative], ...] = ()
    count: Cumulative = 0

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        pairs = (*self.buckets, (math.inf, self.count))
        for (bound, counted), (next_bound, next_counted) in pairwise(pairs):
            if not bound < next_bound or counted > next_counted:
                raise ValueError(
                    f"buckets must ascend: {counted:g} up to {bound:g} s, then {next_counted:g} up to {next_bound:g} s"
                )
        return self

    @classmethod
    def from_prometheus(cls, by_le: Mapping[str, float]) -> Self:
        """Build one from the values of ``..._bucket`` by their label `le`.

        Prometheus scrapes buckets one after the other and computes in floats, so a count may be a hair below the one
        before; it is raised to it, as `histogram_quantile` does. A value that is not a number is not an observation.

        :param by_le: for example ``{"0.1": 5, "0.25": 8, "+Inf": 8}``; without +Inf the largest count stands for it.
        """
        values = {float(bound): counted for bound, counted in by_le.items() if math.isfinite(counted) and counted >= 0}
        return cls.raised((bound, values[bound]) for bound in sorted(values) if bound > -math.inf)

    @classmethod
    def raised(cls, pairs: Iterable[tuple[float, float]]) -> Self:
        """Build one from pairs with ascending bounds, each count raised to the one before; +Inf may be the last."""
        highest, buckets = 0.0, []
        for bound, counted in pairs:
            highest = min(max(highest, counted), MOST)
            if math.isfinite(bound):
                buckets.append((bound, highest))
        return cls(buckets=tuple(buckets), count=highest)

    def __add__(self, other: Histogram) -> Histogram:
        """Add the observations of another one.

        Where the bounds differ, those that both have are kept: a cumulative count up to a common bound stays exact,
        one made up for a missing bound would not be.
        """
        if not other.buckets and not other.count:
            return self
        if not self.buckets and not self.count:
            return other
        theirs = dict(other.buckets)
        common = tuple(
            (bound, min(counted + theirs[bound], MOST)) for bound, counted in self.buckets if bound in theirs
        )
        return Histogram(buckets=common, count=min(self.count + other.count, MOST))
