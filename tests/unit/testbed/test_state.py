from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.state import State, Status

ROWS = st.builds(
    Status,
    name=st.text(),
    about=st.text(),
    version=st.text(),
    state=st.sampled_from(State),
    since=st.floats(allow_nan=False, allow_infinity=False),
    restarts=st.integers(0),
    pid=st.none() | st.integers(1),
    detail=st.text(),
)


@given(row=ROWS)
def test_comes_back_from_json_as_it_went(row: Status) -> None:
    back = Status.from_wire(json.loads(json.dumps(row.to_wire())))
    assert back == row
    assert isinstance(back.state, State)


def test_writes_what_a_program_can_read() -> None:
    row = Status("etcd", "the cluster's memory", "v3", State.READY, 12.5, restarts=2, pid=7, detail="")
    assert json.loads(json.dumps(row.to_wire())) == {
        "name": "etcd",
        "about": "the cluster's memory",
        "version": "v3",
        "state": "ready",
        "since": 12.5,
        "restarts": 2,
        "pid": 7,
        "detail": "",
    }


def test_refuses_a_state_that_it_does_not_know() -> None:
    row = Status("etcd", "", "", State.READY, 0.0).to_wire() | {"state": "asleep"}
    with pytest.raises(ValueError, match=r"^'asleep' is not a valid State$"):
        Status.from_wire(row)
