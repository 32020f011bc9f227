"""Which small files become which large file. Pure, and written down before anything is touched."""

from __future__ import annotations

import json
import posixpath
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.storage.tree import FileEntry

if TYPE_CHECKING:
    from collections.abc import Iterable


class Phase(StrEnum):
    """How far a merge has come; written to its journal before the next step begins."""

    WRITING = "writing"
    """Sources are as they were; new files are hidden and may be incomplete."""
    SWAPPING = "swapping"
    """New files are complete and verified; some may be visible, some sources already hidden."""
    SWAPPED = "swapped"
    """All new files are visible, all sources hidden but kept."""
    DONE = "done"
    """The new files were verified in their place; the sources may go."""
    UNDOING = "undoing"
    """A source was changed meanwhile: everything goes back to where it was."""


@dataclass(frozen=True)
class Output:
    """One new file.

    :param name: visible name in the partition; unique to this merge.
    :param sources: what goes into it, in this order.
    """

    name: str
    sources: tuple[FileEntry, ...]
    rows: int = 0
    size: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Journal:
    """All that a merge needs to go on after a kill.

    :param folder: the partition, relative to the warehouse.
    """

    key: str
    folder: str
    phase: Phase
    outputs: tuple[Output, ...]

    @property
    def sources(self) -> list[FileEntry]:
        """All files that the merge replaces."""
        return [source for output in self.outputs for source in output.sources]

    @property
    def hidden_folder(self) -> str:
        """Where new files are written and old ones kept; Hive does not read names that begin with a dot."""
        return hidden_folder(self.folder, self.key)

    def new_path(self, output: Output) -> str:
        """Where an output is written before the swap."""
        return posixpath.join(self.hidden_folder, "new", output.name)

    def visible_path(self, output: Output) -> str:
        """Where an output lies after the swap."""
        return posixpath.join(self.folder, output.name)

    def kept_path(self, source: FileEntry) -> str:
        """Where a source is kept after the swap."""
        return posixpath.join(self.hidden_folder, "old", posixpath.basename(source.path))


HIDDEN_PREFIX = ".merge-"


def hidden_folder(folder: str, key: str) -> str:
    """Return the folder of a merge's journal and files."""
    return posixpath.join(folder, HIDDEN_PREFIX + key)


def plan_outputs(
    entries: Iterable[FileEntry], key: str, small_file_bytes: int, target_bytes: int, max_files: int
) -> tuple[Output, ...]:
    """Pack the small files of one partition into files of about target_bytes.

    :param entries: files directly in the partition.
    :return: outputs of two sources or more; a file that would stand alone stays as it is.
    """
    own = f"merged-{key}-"  # made by an earlier run of this merge: to merge them again would reuse their names
    small = sorted((entry for entry in entries if _is_candidate(entry, small_file_bytes, own)), key=lambda e: e.path)
    groups: list[list[FileEntry]] = []
    room = 0
    for entry in small[:max_files]:
        if not groups or entry.size > room:
            groups.append([])
            room = target_bytes
        groups[-1].append(entry)
        room -= entry.size
    worth = [group for group in groups if len(group) > 1]
    return tuple(Output(f"{own}{number:05d}", tuple(group)) for number, group in enumerate(worth))


def _is_candidate(entry: FileEntry, small_file_bytes: int, own: str) -> bool:
    return entry.size < small_file_bytes and not posixpath.basename(entry.path).startswith(("_", ".", own))


def dump_journal(journal: Journal) -> bytes:
    """Return the journal as it is written to disk."""
    return json.dumps(asdict(journal), sort_keys=True).encode()


def load_journal(data: bytes) -> Journal:
    """Read a journal.

    :raises ValueError: not a journal, for example one whose writing was cut off.
    """
    try:
        raw = json.loads(data)
        outputs = tuple(
            Output(
                item["name"],
                tuple(FileEntry(source["path"], source["size"], source["modified"]) for source in item["sources"]),
                item["rows"],
                item["size"],
                item["digest"],
            )
            for item in raw["outputs"]
        )
        return Journal(raw["key"], raw["folder"], Phase(raw["phase"]), outputs)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a merge journal") from error
