"""What writes beside a watch."""

from __future__ import annotations

import threading

import pytest
from slipway.flow.clerk import Clerk


def test_what_hangs_holds_nobody_up_and_is_followed_by_the_next() -> None:
    clerk, answered, done = Clerk(), threading.Event(), list[str]()

    def hang() -> None:
        answered.wait(10)
        done.append("first")

    assert clerk.begin(hang)

    assert clerk.is_busy
    assert not clerk.begin(lambda: done.append("left out"))

    answered.set()
    clerk.finish(lambda: done.append("second"))
    assert done == ["first", "second"]
    assert not clerk.is_busy


def test_an_error_reaches_whoever_writes_next() -> None:
    clerk = Clerk()

    def fail() -> None:
        raise KeyError("fenced")

    clerk.begin(fail)
    with pytest.raises(KeyError, match="fenced"):
        clerk.finish(lambda: None)
    clerk.finish(lambda: None)  # once is enough


def test_a_closed_one_waits_for_nothing() -> None:
    clerk, answered = Clerk(), threading.Event()

    def hang() -> None:
        answered.wait(10)

    clerk.begin(hang)
    clerk.close()
    assert clerk.is_busy
    answered.set()
