"""Counting small files: against a model that is too simple to be wrong."""

from __future__ import annotations

from collections import Counter

import pytest
from app.scan.counting import count_files
from app.scan.layout import Location, TableName, locate
from app.storage.tree import FileEntry
from hypothesis import given
from hypothesis import strategies as st

THRESHOLD = 100
NAMES = st.sampled_from(["a", "b", "000000_0"])
PARTS = st.lists(st.sampled_from(["d=1", "d=2", "h=3"]), max_size=2).map("/".join)
SIZES = st.integers(0, 200) | st.sampled_from([99, 100, 101])


def path_of(database: str, *parts: str) -> str:
    return "/".join(filter(None, [f"{database}.db", *parts]))


FILES = st.builds(
    lambda db, table, part, name, size: (db, table, part, FileEntry(path_of(db, table, part, name), size)),
    NAMES, NAMES, PARTS, NAMES, SIZES,
)  # fmt: skip
FOREIGN = st.sampled_from(
    [
        "x",
        "a.db/x",
        ".db/t/x",
        "a.db/.staging/x",
        "a.db/t/_SUCCESS",
        "a.db/t/_tmp/x",
        "a.db/t/folder/x",
        "a/t/x",
        "a.db/t/d=/x",
    ]
).map(lambda path: FileEntry(path, 5))


@given(st.lists(FILES), st.lists(FOREIGN), st.randoms())
def test_counts_equal_a_sum_over_the_list_in_any_order(files, foreign, random) -> None:
    entries = [entry for *_, entry in files] + foreign
    random.shuffle(entries)
    found = count_files(entries, THRESHOLD)
    small = Counter((db, table, part) for db, table, part, entry in files if entry.size < THRESHOLD)
    total = Counter((db, table, part) for db, table, part, _ in files)
    counted = {
        (name.database, name.table, part): (count.total_files, count.small_files)
        for name, table in found.tables.items()
        for part, count in table.partitions.items()
    }
    assert counted == {key: (total[key], small[key]) for key in total}
    assert found.foreign_files == len(foreign)
    assert (found.files, found.small_files) == (len(files), sum(small.values()))
    for table in found.tables.values():
        assert table.total_bytes == sum(count.total_bytes for count in table.partitions.values())
        assert table.small_bytes == sum(count.small_bytes for count in table.partitions.values())


@pytest.mark.parametrize(("size", "small"), [(THRESHOLD - 1, 1), (THRESHOLD, 0), (0, 1)])
def test_a_file_of_exactly_the_threshold_is_not_small(size: int, small: int) -> None:
    assert count_files([FileEntry("a.db/t/x", size)], THRESHOLD).small_files == small


def test_a_partition_s_folder_is_found_again() -> None:
    location = Location(TableName("sales", "orders"), "y=2026/m=11")
    assert locate(f"{location.folder}/000000_0") == location


@given(st.text())
def test_no_path_makes_a_traceback(path: str) -> None:
    locate(path)
