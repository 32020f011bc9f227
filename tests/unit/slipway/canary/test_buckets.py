from __future__ import annotations

import math

import pytest
from pydantic import ValidationError
from slipway.canary import Histogram


def test_reads_the_labels_of_prometheus_in_any_order() -> None:
    found = Histogram.from_prometheus({"+Inf": 9, "0.25": 8, "0.1": 5})
    assert found == Histogram(buckets=((0.1, 5), (0.25, 8)), count=9)


def test_raises_a_bucket_that_was_scraped_a_moment_earlier() -> None:
    assert Histogram.from_prometheus({"0.1": 5, "0.25": 4.999, "+Inf": 5}).buckets == ((0.1, 5), (0.25, 5))


def test_leaves_out_what_is_no_count() -> None:
    assert Histogram.from_prometheus({"0.1": math.nan, "0.25": 4, "+Inf": 5}).buckets == ((0.25, 4),)


def test_refuses_buckets_that_are_not_cumulative() -> None:
    with pytest.raises(ValidationError, match=r"buckets must ascend: 5 up to 0\.1 s, then 4 up to 0\.2 s"):
        Histogram(buckets=((0.1, 5), (0.2, 4)), count=9)


def test_refuses_bounds_that_do_not_ascend() -> None:
    with pytest.raises(ValidationError, match="buckets must ascend"):
        Histogram(buckets=((0.2, 4), (0.1, 5)), count=9)
