from __future__ import annotations

import pytest

from testbed import report
from testbed.state import State, Status


def status(state: State) -> Status:
    return Status("etcd", "the cluster's memory", "", state, since=0.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m0s"), (3599, "59m59s"), (3600, "1h0m"), (11_100, "3h5m"), (-3, "0s")],
)
def test_writes_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert report.age(seconds) == text


def test_is_ready_only_when_all_are() -> None:
    assert report.all_ready([status(State.READY), status(State.READY)])
    for other in set(State) - {State.READY}:
        assert not report.all_ready([status(State.READY), status(other)])


def test_a_status_survives_the_wire() -> None:
    row = Status("kubelet@node-1", "starts pods", "v1.34.4", State.RESTARTING, 12.5, 3, 42, "ended with SIGKILL")
    assert Status.from_wire(row.to_wire()) == row


def test_draws_a_row_for_each_component() -> None:
    ready, stopped = status(State.READY), status(State.STOPPED)
    stopped.detail = "stopped on request"
    drawn = report.table([ready, stopped])
    assert drawn.row_count == 2
    cells = [list(column.cells) for column in drawn.columns]
    assert cells[0] == ["etcd", "etcd"]
    assert cells[1] == ["-", "-"]
    assert [str(cell) for cell in cells[2]] == ["ready", "stopped"]
    assert cells[5] == ["the cluster's memory", "stopped on request"]
