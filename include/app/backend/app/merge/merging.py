"""Merge the small files of one partition, so that a kill between any two lines loses nothing.

Each phase is written to a journal in a hidden folder of the partition before the next step begins, and each
step looks before it acts, so the same call finishes what a killed one began:

    WRITING    write the new files, hidden; verify rows, bytes and fingerprint by reading them back
    SWAPPING   show the new files, then hide the sources (renames only)
    SWAPPED    verify the new files once more, in their place
    DONE       remove the sources; finish() removes the journal, once the result is recorded

New files are shown before old ones are hidden: a reader in the milliseconds of the swap, or after a kill
within it, may see a row twice, never miss one. A table without transactions gives no third choice. Files
that a writer adds meanwhile are not touched. A source that was changed meanwhile undoes the swap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.errors import MergeError, RowMismatchError, SourceChangedError
from app.merge.plan import (
    HIDDEN_PREFIX,
    Journal,
    Output,
    Phase,
    dump_journal,
    hidden_folder,
    load_journal,
    plan_outputs,
)
from app.merge.rows import Content, ContentMeter, check_name, check_start

if TYPE_CHECKING:
    from app.storage.tree import FileEntry, Tree

_MAGIC_BYTES = 8


@dataclass(frozen=True)
class MergeLimits:
    """Sizes that a merge goes by."""

    small_file_bytes: int
    target_bytes: int
    min_files: int
    max_files: int


@dataclass(frozen=True)
class MergeResult:
    """What a merge has done; all zero when there was nothing worth it."""

    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    rows: int = 0


class Merge:
    """One merge of one partition, by key; run() again with the same key goes on where it was left."""

    def __init__(self, tree: Tree, folder: str, key: str, limits: MergeLimits) -> None:
        self._tree = tree
        self._folder = folder
        self._key = key
        self._limits = limits

    def run(self) -> MergeResult:
        """Merge, or finish what an earlier run began.

        :return: files, bytes and rows before and after.
        :raises MergeUnsupportedError: a source is no text file.
        :raises SourceChangedError: somebody wrote to a source; everything is back in its place.
        :raises RowMismatchError: the new files do not hold what the sources hold; the sources are in use.
        :raises StorageError: the tree failed; run again.
        """
        journal = self._load() or self._begin()
        return self._carry_on(journal) if journal else MergeResult()

    def resume(self) -> MergeResult:
        """Finish what an earlier run began, and begin nothing; raises what run() raises."""
        journal = self._load()
        return self._carry_on(journal) if journal else MergeResult()

    def _carry_on(self, journal: Journal) -> MergeResult:
        if journal.phase is Phase.UNDOING:
            self._undo(journal)
            raise SourceChangedError(f"{self._folder}: an interrupted merge was undone; plan a new one")
        if journal.phase is Phase.WRITING:
            journal = self._write(journal)
        if journal.phase is Phase.SWAPPING:
            journal = self._swap(journal)
        if journal.phase is Phase.SWAPPED:
            journal = self._verify_in_place(journal)
        # The journal stays until finish(): whoever calls run() again before that gets the same result.
        for kept in ("old", "new"):
            self._tree.delete(f"{journal.hidden_folder}/{kept}")
        return _result(journal)

    def finish(self) -> None:
        """Forget the merge, once its result is recorded elsewhere."""
        self._tree.delete(hidden_folder(self._folder, self._key))

    # -- the journal

    def _load(self) -> Journal | None:
        """Return the journal of an earlier run; one that was cut off while being written does not count."""
        for path in (self._journal_path(), self._journal_path() + ".next"):
            if self._tree.stat(path) is None:
                continue
            with self._tree.reader(path) as stream:
                data = stream.read()
            try:
                return load_journal(data)
            except ValueError:
                continue
        return None

    def _save(self, journal: Journal) -> Journal:
        # HDFS has no rename over an existing file, so for a moment only .next is there: _load reads that too.
        following = self._journal_path() + ".next"
        with self._tree.writer(following) as stream:
            stream.write(dump_journal(journal))
        self._tree.delete(self._journal_path())
        self._tree.rename(following, self._journal_path())
        return journal

    def _journal_path(self) -> str:
        return hidden_folder(self._folder, self._key) + "/journal.json"

    # -- the phases

    def _begin(self) -> Journal | None:
        limits = self._limits
        outputs = plan_outputs(
            self._tree.files_in(self._folder), self._key, limits.small_file_bytes, limits.target_bytes,
            limits.max_files,
        )  # fmt: skip
        if sum(len(output.sources) for output in outputs) < limits.min_files:
            return None
        for output in outputs:
            for source in output.sources:
                self._check_format(source)
        return self._save(Journal(self._key, self._folder, Phase.WRITING, outputs))

    def _check_format(self, source: FileEntry) -> None:
        check_name(source.path)
        with self._tree.reader(source.path) as stream:
            check_start(source.path, stream.read(_MAGIC_BYTES))

    def _write(self, journal: Journal) -> Journal:
        written = replace(journal, outputs=tuple(self._write_output(journal, output) for output in journal.outputs))
        self._check_unchanged(journal)
        return self._save(replace(written, phase=Phase.SWAPPING))

    def _write_output(self, journal: Journal, output: Output) -> Output:
        meter = ContentMeter()
        path = journal.new_path(output)
        with self._tree.writer(path) as target:
            for source in output.sources:
                with self._tree.reader(source.path) as stream:
                    for chunk in meter.chunks(stream):
                        target.write(chunk)
        content = meter.content()
        self._check_content(path, content)
        return replace(output, rows=content.rows, size=content.size, digest=content.digest)

    def _check_content(self, path: str, expected: Content) -> None:
        meter = ContentMeter()
        with self._tree.reader(path) as stream:
            for _ in meter.chunks(stream):
                pass
        found = meter.content()
        if found != expected:
            raise RowMismatchError(
                f"{path}: found {found.rows} rows in {found.size} bytes, "
                f"expected {expected.rows} rows in {expected.size} bytes"
            )

    def _check_unchanged(self, journal: Journal) -> None:
        for source in journal.sources:
            if self._tree.stat(source.path) != source:
                self._undo(journal)
                raise SourceChangedError(f"{source.path}: written to during the merge; nothing was merged")

    def _swap(self, journal: Journal) -> Journal:
        for output in journal.outputs:
            if self._tree.stat(journal.visible_path(output)) is None:
                self._tree.rename(journal.new_path(output), journal.visible_path(output))
        for source in journal.sources:
            self._hide(journal, source)
        return self._save(replace(journal, phase=Phase.SWAPPED))

    def _hide(self, journal: Journal, source: FileEntry) -> None:
        found = self._tree.stat(source.path)
        if found is None and self._tree.stat(journal.kept_path(source)) is not None:
            return  # an earlier run has hidden it
        if found != source:
            self._undo(self._save(replace(journal, phase=Phase.UNDOING)))
            raise SourceChangedError(f"{source.path}: written to during the merge; the swap was undone")
        self._tree.rename(source.path, journal.kept_path(source))

    def _verify_in_place(self, journal: Journal) -> Journal:
        try:
            for output in journal.outputs:
                expected = Content(output.rows, output.size, output.digest)
                self._check_content(journal.visible_path(output), expected)
        except RowMismatchError:
            self._undo(self._save(replace(journal, phase=Phase.UNDOING)))
            raise
        return self._save(replace(journal, phase=Phase.DONE))

    def _undo(self, journal: Journal) -> None:
        """Bring the sources back, then take the new files away: in this order no row is ever missing."""
        for source in journal.sources:
            if self._tree.stat(journal.kept_path(source)) is None:
                continue
            if self._tree.stat(source.path) is not None:
                # Somebody made a new file under the old name: both must survive, and only a person can
                # choose.
                raise MergeError(f"{source.path}: was made anew during the merge; the old one is kept in "
                                 f"{journal.kept_path(source)}")  # fmt: skip
            self._tree.rename(journal.kept_path(source), source.path)
        for output in journal.outputs:
            self._tree.delete(journal.visible_path(output))
        self._tree.delete(journal.hidden_folder)


def unfinished_keys(tree: Tree, folder: str) -> list[str]:
    """List the merges that were begun in a partition and never finished, by key."""
    return [name.removeprefix(HIDDEN_PREFIX) for name in tree.folders_in(folder) if name.startswith(HIDDEN_PREFIX)]


def _result(journal: Journal) -> MergeResult:
    return MergeResult(
        files_before=len(journal.sources),
        files_after=len(journal.outputs),
        bytes_before=sum(source.size for source in journal.sources),
        bytes_after=sum(output.size for output in journal.outputs),
        rows=sum(output.rows for output in journal.outputs),
    )
