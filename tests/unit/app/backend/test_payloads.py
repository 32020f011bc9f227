"""Task payloads: readable by the version before and after."""

from __future__ import annotations

from contextlib import suppress

import pytest
from app.errors import PayloadError
from app.release import RELEASES, release_of
from app.worker.payloads import ProbePayload, TaskPayload, read_payload, write_payload
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
# As 0.9.0 and 1.0.0 put them on the wire. Never change these: they stand for messages that are already in the queue.
WIRE_V1 = {"schema_version": 1, "task_id": 7}
WIRE_V2 = {"schema_version": 2, "sent_by": "1.0.0", "task_id": 7}
WIRE_FUTURE = {"schema_version": 9, "sent_by": "3.0.0", "task_id": 7, "priority": {"a": [1]}}


@pytest.mark.parametrize("wire", [WIRE_V1, WIRE_V2, WIRE_FUTURE, {"task_id": 7}])
def test_every_version_s_message_is_read(wire: dict[str, object]) -> None:
    assert read_payload(TaskPayload, wire).task_id == 7


def test_each_version_writes_its_own_words() -> None:
    assert write_payload(TaskPayload(task_id=7), 1, "0.9.0") == WIRE_V1
    assert write_payload(TaskPayload(task_id=7), 2, "1.0.0") == WIRE_V2


def test_what_an_old_message_lacks_has_its_default() -> None:
    probe = read_payload(ProbePayload, {"marker": "m"})
    assert (probe.fail, probe.sent_by, probe.work_s) == (False, "unknown", 0)


@given(st.sampled_from(RELEASES), st.sampled_from(RELEASES), st.integers(1, 2**62), st.dictionaries(st.text(), JSON))
def test_any_version_reads_any_version_with_any_additions(sender, reader, task_id, added) -> None:
    body = write_payload(TaskPayload(task_id=task_id), sender.payload_schema, sender.version)
    unknown = {name: value for name, value in added.items() if name not in TaskPayload.model_fields}
    assert read_payload(TaskPayload, {**unknown, **body}).task_id == task_id
    assert reader.payload_schema >= 1  # a reader has no say in it: there is one reading for all


@given(JSON)
def test_anything_else_is_refused_without_a_traceback_or_its_values(raw: object) -> None:
    marked = {"task_id": "secret-value", "x": raw}
    with suppress(PayloadError):
        read_payload(TaskPayload, raw)
    with pytest.raises(PayloadError) as refused:
        read_payload(TaskPayload, marked)
    assert "secret-value" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(PayloadError) as refused:
        read_payload(TaskPayload, {"task_id": 0})
    assert str(refused.value) == "TaskPayload: cannot be read, wrong or missing: task_id"


@pytest.mark.parametrize(
    ("version", "head"),
    [("0.9.0", "0002"), ("0.9.7", "0002"), ("1.0.0", "0005"), ("1.0.1", "0005"), ("2.0.0-rc.1", "0005")],
)
def test_a_version_ships_what_the_last_listed_one_before_it_ships(version: str, head: str) -> None:
    assert release_of(version).schema_head == head
