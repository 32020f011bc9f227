from __future__ import annotations

import math
import random  # noqa: TC003 - hypothesis reads the annotation

from hypothesis import given
from hypothesis import strategies as st
from slipway.canary import Histogram, delta, delta_over, histogram_delta, total

VALUES = st.floats(allow_nan=True, allow_infinity=True)


def test_counts_what_was_added_since_the_start() -> None:
    assert delta({"pod-1": 100}, {"pod-1": 130}) == {"pod-1": 30}


def test_counts_a_series_that_was_born_later_from_zero() -> None:
    assert delta({}, {"pod-2": 7}) == {"pod-2": 7}


def test_takes_what_a_restarted_process_shows_for_its_growth() -> None:
    assert delta({"pod-1": 100}, {"pod-1": 4}) == {"pod-1": 4}


def test_a_series_that_is_gone_grew_by_nothing_more() -> None:
    assert delta_over([{"a": 10}, {"a": 15}, {}]) == {"a": 5}


def test_loses_only_one_poll_to_a_restart_when_every_poll_is_given() -> None:
    assert delta_over([{"a": 0}, {"a": 40}, {"a": 5}, {"a": 9}]) == {"a": 49}
    assert delta({"a": 0}, {"a": 9}) == {"a": 9}


def test_a_series_that_comes_back_goes_on_where_it_was() -> None:
    assert delta_over([{"a": 10}, {}, {"a": 25}]) == {"a": 15}


def test_a_value_that_is_no_count_is_not_taken_for_zero() -> None:
    assert delta({"a": 100}, {"a": math.nan}) == {"a": 0}
    assert delta_over([{"a": 100}, {"a": math.nan}, {"a": 103}]) == {"a": 3}


def test_an_unreadable_start_does_not_count_the_history_as_new() -> None:
    assert delta({"a": math.nan}, {"a": 1_000_000}) == {"a": 0}


def test_adds_up_pods() -> None:
    assert total(delta({"a": 1, "b": 2}, {"a": 4, "b": 2, "c": 5})) == 8


@given(st.dictionaries(st.integers(0, 9), VALUES), st.dictionaries(st.integers(0, 9), VALUES), st.randoms())
def test_any_values_in_any_order_give_one_finite_growth(
    start: dict[int, float], now: dict[int, float], shuffle: random.Random
) -> None:
    found = total(delta(start, now))
    assert math.isfinite(found)
    assert found >= 0
    mixed = list(now.items())
    shuffle.shuffle(mixed)
    assert total(delta(start, dict(mixed))) == found


def histogram(*counted: float) -> Histogram:
    return Histogram(buckets=((0.1, counted[0]), (0.2, counted[1])), count=counted[2])


def test_subtracts_histograms_series_by_series() -> None:
    assert histogram_delta({"a": histogram(1, 2, 3)}, {"a": histogram(5, 7, 9), "b": histogram(1, 1, 1)}) == histogram(
        5, 6, 7
    )


def test_a_restarted_series_counts_from_zero_in_all_of_its_buckets() -> None:
    # Bucket by bucket, 0.1 would grow by 2 and the whole by 9: old and new mixed.
    assert histogram_delta({"a": histogram(5, 50, 100)}, {"a": histogram(7, 8, 9)}) == histogram(7, 8, 9)


def test_keeps_the_bounds_that_all_pods_have() -> None:
    other = Histogram(buckets=((0.2, 4), (0.4, 6)), count=8)
    assert histogram_delta({}, {"a": histogram(1, 2, 3), "b": other}) == Histogram(buckets=((0.2, 6),), count=11)


def test_nothing_seen_is_an_empty_histogram() -> None:
    assert histogram_delta({"a": histogram(1, 2, 3)}, {}) == Histogram()
