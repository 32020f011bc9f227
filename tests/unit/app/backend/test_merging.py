"""Merging: killed at every touch of the disk and run again, no row is lost and none stays double."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from app.errors import MergeUnsupportedError, RowMismatchError, SourceChangedError
from app.merge.merging import Merge, MergeLimits, unfinished_keys
from app.merge.plan import plan_outputs
from app.storage.tree import FileEntry, Tree
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "d.db/t/p=1"
LIMITS = MergeLimits(small_file_bytes=100, target_bytes=60, min_files=2, max_files=100)


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Mortal(LocalFileSystem):
    """Dies before its n-th change of the disk; with `half` an opened file is left empty behind."""

    cachable = False

    def __init__(self, dies_at: int, *, half: bool = False) -> None:
        super().__init__()
        self.left, self.half = dies_at, half

    def _live(self) -> bool:
        self.left -= 1
        return self.left > 0

    def _act(self, name: str, *arguments, **options):
        if not self._live():
            raise KilledError
        return getattr(super(), name)(*arguments, **options)

    def mv(self, *arguments, **options):
        return self._act("mv", *arguments, **options)

    def rm(self, *arguments, **options):
        return self._act("rm", *arguments, **options)

    def makedirs(self, *arguments, **options):
        return self._act("makedirs", *arguments, **options)

    def open(self, path, mode="rb", **options):
        if mode != "rb" and not self._live():
            if self.half:
                super().open(path, mode, **options).close()
            raise KilledError
        return super().open(path, mode, **options)


def fill(root: Path, files: int = 6) -> Path:
    folder = root / FOLDER
    folder.mkdir(parents=True)
    for number in range(files):
        (folder / f"00000{number}_0").write_text(f"row {number}\nlast of {number}" + ("\n" if number % 2 else ""))
    (folder / "large_0").write_text("large\n" * 100)
    (folder / "_SUCCESS").touch()
    return folder


def rows(folder: Path) -> Counter[str]:
    """What Hive reads: every file whose name begins with neither . nor _."""
    seen: Counter[str] = Counter()
    for path in folder.iterdir():
        if path.is_file() and not path.name.startswith((".", "_")):
            seen.update(path.read_text().splitlines())
    return seen


def merge(root: Path, filesystem: LocalFileSystem | None = None, key: str = "1") -> Merge:
    return Merge(Tree(filesystem or LocalFileSystem(), str(root)), FOLDER, key, LIMITS)


def test_merges_small_files_and_leaves_the_large_one(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    before = rows(folder)
    work = merge(tmp_path)
    result = work.run()
    assert (result.files_before, result.files_after, result.rows) == (6, 2, 12)
    assert work.run() == result, "until finish() the result can be had again"
    work.finish()
    assert rows(folder) == before
    assert sorted(path.name for path in folder.iterdir()) == [
        "_SUCCESS", "large_0", "merged-1-00000", "merged-1-00001",
    ]  # fmt: skip


@pytest.mark.parametrize("half", [False, True])
def test_killed_anywhere_it_can_be_run_again_and_loses_nothing(tmp_path: Path, half: bool) -> None:
    kills = 0
    for dies_at in range(1, 200):
        root = tmp_path / str(dies_at)
        folder = fill(root)
        before = rows(folder)
        try:
            work = merge(root, Mortal(dies_at, half=half))
            work.run()
            work.finish()
        except KilledError:
            kills += 1
        else:
            break
        seen = rows(folder)
        assert all(seen[row] >= count for row, count in before.items()), f"a row is missing, killed at {dies_at}"
        again = merge(root)
        again.run()
        again.finish()
        assert rows(folder) == before, f"killed at {dies_at}"
        assert unfinished_keys(Tree(LocalFileSystem(), str(root)), FOLDER) == []
    assert kills > 20


def test_two_kills_in_a_row_lose_nothing(tmp_path: Path) -> None:
    for first in range(1, 40, 3):
        for second in range(1, 40, 5):
            root = tmp_path / f"{first}-{second}"
            folder = fill(root, files=3)
            before = rows(folder)
            for dies_at in (first, second, 10**6):
                try:
                    work = merge(root, Mortal(dies_at))
                    work.run()
                    work.finish()
                except KilledError:
                    continue
            assert rows(folder) == before, f"killed at {first}, then at {second}"


class Meddling(LocalFileSystem):
    """Lets somebody write to a source just before the n-th rename."""

    cachable = False

    def __init__(self, victim: Path, at: int) -> None:
        super().__init__()
        self.victim, self.left = victim, at

    def mv(self, *arguments, **options):
        self.left -= 1
        if self.left == 0:
            with self.victim.open("a") as stream:
                stream.write("written meanwhile\n")
        return super().mv(*arguments, **options)


@pytest.mark.parametrize("at", range(1, 8))
def test_a_source_that_is_written_to_undoes_the_merge(tmp_path: Path, at: int) -> None:
    folder = fill(tmp_path)
    before = rows(folder)
    work = merge(tmp_path, Meddling(folder / "000005_0", at))
    with pytest.raises(SourceChangedError):
        work.run()
    after = rows(folder)
    # "last of 5" had its newline, so the new row stands alone.
    assert after == before + Counter(["written meanwhile"])


class Corrupting(LocalFileSystem):
    """Changes what was written, before it is read back."""

    cachable = False

    def open(self, path, mode="rb", **options):
        if mode == "rb" and "/new/merged" in str(path):
            from pathlib import Path as Real

            data = Real(path).read_bytes()
            Real(path).write_bytes(data[:-5] + b"\n" + data[-4:])
        return super().open(path, mode, **options)


def test_what_cannot_be_verified_never_becomes_visible(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    before = rows(folder)
    with pytest.raises(RowMismatchError, match="expected 6 rows"):
        merge(tmp_path, Corrupting()).run()
    assert rows(folder) == before


@pytest.mark.parametrize(("name", "start"), [("a.parquet", b"x"), ("b.gz", b"x"), ("000000_1", b"PAR1"), ("c", b"ORC")])
def test_files_whose_rows_cannot_be_counted_are_refused(tmp_path: Path, name: str, start: bytes) -> None:
    folder = fill(tmp_path, files=2)
    (folder / name).write_bytes(start)
    with pytest.raises(MergeUnsupportedError):
        merge(tmp_path).run()
    assert not list(folder.glob(".merge*"))


def test_a_writer_s_new_file_is_left_alone(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    with pytest.raises(KilledError):
        merge(tmp_path, Mortal(15)).run()
    (folder / "late_0").write_text("late\n")
    before = rows(folder)
    work = merge(tmp_path)
    work.run()
    work.finish()
    assert rows(folder)["late"] == before["late"] == 1


def test_nothing_to_do_is_no_merge(tmp_path: Path) -> None:
    folder = fill(tmp_path, files=1)
    assert merge(tmp_path).run().files_before == 0
    assert not list(folder.glob(".merge*"))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 150), max_size=30), st.integers(10, 200))
def test_a_plan_takes_each_small_file_at_most_once(sizes: list[int], target: int) -> None:
    entries = [FileEntry(f"t/{number:03d}", size) for number, size in enumerate(sizes)]
    outputs = plan_outputs(entries, "1", 100, target, 1000)
    taken = [source for output in outputs for source in output.sources]
    assert len(taken) == len(set(taken))
    assert all(source.size < 100 for source in taken)
    assert all(len(output.sources) > 1 for output in outputs)
    assert all(sum(source.size for source in output.sources) <= max(target, 100) for output in outputs)
