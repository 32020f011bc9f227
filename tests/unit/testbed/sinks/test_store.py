from __future__ import annotations

import json
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from testbed.sinks.message import Channel, Draft, first_line, mask
from testbed.sinks.store import FILE, Store


def draft(title: str, channel: Channel = Channel.SLACK, reason: str | None = None) -> Draft:
    return Draft(
        channel=channel,
        to="#a",
        title=title,
        text=f"text of {title}",
        raw={"t": title},
        size=1,
        reason=reason,
    )


def titles(store: Store) -> list[str]:
    return [message.title for message in store.find()]


def test_messages_and_ids_survive_a_restart(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as store:
        first = store.add(draft("größe 猫\u2028"), 1.5)
        store.add(draft("no", reason="400 no_text"), 2.5)
    with closing(Store(tmp_path)) as store:
        assert store.get(1) == first
        second = store.get(2)
        assert second is not None
        assert (second.accepted, second.reason) == (False, "400 no_text")
        assert store.add(draft("next"), 3.5).id == 3


def test_find(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as store:
        store.add(draft("Rolled back"), 0)
        store.add(draft("promoted", Channel.MAIL), 0)
        store.add(draft("rolled BACK", Channel.MAIL, reason="x"), 0)
        assert [one.id for one in store.find(contains="rolled back")] == [1, 3]
        assert [one.id for one in store.find(channel=Channel.MAIL)] == [2, 3]
        assert [one.id for one in store.find(after=1)] == [2, 3]
        assert [one.id for one in store.find(accepted=True)] == [1, 2]
        assert [one.id for one in store.find(newest=2)] == [2, 3]
        assert store.counts() == {Channel.DINGTALK: 0, Channel.SLACK: 1, Channel.MAIL: 2}
        assert store.get(4) is None


def test_ids_go_on_after_everything_was_forgotten(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as store:
        store.add(draft("a"), 0)
        store.add(draft("b"), 0)
        assert store.clear() == 2
        assert (store.find(), store.oldest_id, store.next_id) == ([], 3, 3)
    with closing(Store(tmp_path)) as store:
        assert store.find() == []
        assert store.add(draft("c"), 0).id == 3


def test_only_the_newest_are_kept_in_memory_and_in_the_file(tmp_path: Path) -> None:
    with closing(Store(tmp_path, keep=5)) as store:
        for number in range(1, 24):
            store.add(draft(str(number)), 0)
            assert len((tmp_path / FILE).read_bytes().splitlines()) <= 10
        assert titles(store) == ["19", "20", "21", "22", "23"]
        assert store.oldest_id == 19
    with closing(Store(tmp_path, keep=5)) as store:
        assert titles(store) == ["19", "20", "21", "22", "23"]


def _written(count: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        with closing(Store(Path(folder))) as store:
            for number in range(count):
                store.add(draft(f"title {number} 猫"), number)
        return (Path(folder) / FILE).read_bytes()


WHOLE = _written(4)


@given(cut=st.integers(0, len(WHOLE)))
def test_a_torn_end_loses_at_most_the_message_that_was_torn(cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / FILE).write_bytes(WHOLE[:cut])
        whole_lines = WHOLE[:cut].count(b"\n") - 1
        with closing(Store(folder)) as store:
            before = titles(store)
            assert before == [f"title {number} 猫" for number in range(len(before))]
            assert max(whole_lines, 0) <= len(before) <= max(whole_lines, 0) + 1
            store.add(draft("after"), 9)
        with closing(Store(folder)) as store:
            assert titles(store) == [*before, "after"]


@given(junk=st.binary(max_size=60), place=st.integers(0, 5))
def test_junk_between_the_lines_loses_no_message(junk: bytes, place: int) -> None:
    lines = WHOLE.splitlines(keepends=True)
    lines.insert(place, junk.replace(b"{", b"(") + b"\n")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / FILE).write_bytes(b"".join(lines))
        with closing(Store(Path(name))) as store:
            assert len(titles(store)) == 4


def test_lines_of_another_shape_are_left_out(tmp_path: Path) -> None:
    odd: list[object] = [
        1,
        "next_id",
        None,
        [],
        {},
        {"next_id": None},
        {"next_id": "x"},
        {"id": 7},
        {"next_id": 40},
    ]
    (tmp_path / FILE).write_text("".join(f"{json.dumps(row)}\n" for row in odd))
    with closing(Store(tmp_path)) as store:
        assert (store.find(), store.next_id) == ([], 40)


def test_a_mask_shows_a_quarter_at_most() -> None:
    assert mask("") == "…"
    assert mask("abc") == "…"
    assert mask("testbed") == "t…"
    assert mask("a" * 64) == "aaaa…"


def test_the_first_line_is_short_and_without_marks() -> None:
    assert first_line("\n  \n### Rolled back\nmore") == "Rolled back"
    assert first_line("x" * 121) == "x" * 119 + "…"
    assert first_line(" \n ") == ""
