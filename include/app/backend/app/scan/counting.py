"""Count files and bytes by table and partition. Pure: the same files in any order give the same counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.scan.layout import TableName, locate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.storage.tree import FileEntry


@dataclass
class Count:
    """Files and bytes, all of them and the small ones."""

    total_files: int = 0
    small_files: int = 0
    total_bytes: int = 0
    small_bytes: int = 0

    def add(self, size: int, *, is_small: bool) -> None:
        """Count one more file."""
        self.total_files += 1
        self.total_bytes += size
        if is_small:
            self.small_files += 1
            self.small_bytes += size


@dataclass
class TableCount(Count):
    """A table's count, and the same by partition ("" for a table without partitions)."""

    partitions: dict[str, Count] = field(default_factory=dict)


@dataclass
class WarehouseCount:
    """What a scan has found.

    :param foreign_files: files that belong to no table; they are in no other count.
    """

    tables: dict[TableName, TableCount] = field(default_factory=dict)
    foreign_files: int = 0

    @property
    def files(self) -> int:
        """Files of all tables."""
        return sum(table.total_files for table in self.tables.values())

    @property
    def small_files(self) -> int:
        """Small files of all tables."""
        return sum(table.small_files for table in self.tables.values())


def count_files(entries: Iterable[FileEntry], small_file_bytes: int) -> WarehouseCount:
    """Count the files of a warehouse.

    :param entries: files with paths relative to the warehouse.
    :param small_file_bytes: a file is small when its size is below this; one of exactly this size is not.
    """
    found = WarehouseCount()
    for entry in entries:
        location = locate(entry.path)
        if location is None:
            found.foreign_files += 1
            continue
        is_small = entry.size < small_file_bytes
        table = found.tables.setdefault(location.name, TableCount())
        table.add(entry.size, is_small=is_small)
        table.partitions.setdefault(location.partition, Count()).add(entry.size, is_small=is_small)
    return found
