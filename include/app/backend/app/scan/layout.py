"""Where a file belongs in a Hive warehouse: database.db/table/part=value/.../file. Pure."""

from __future__ import annotations

from dataclasses import dataclass

DATABASE_SUFFIX = ".db"
_HIDDEN = ("_", ".")
_TABLE_DEPTH = 2


@dataclass(frozen=True, order=True)
class TableName:
    """A table by its database and name."""

    database: str
    table: str

    @property
    def folder(self) -> str:
        """Where the table lies, relative to the warehouse."""
        return f"{self.database}{DATABASE_SUFFIX}/{self.table}"


@dataclass(frozen=True, order=True)
class Location:
    """The table and partition that a file belongs to.

    :param partition: "year=2026/month=11", empty for a table without partitions.
    """

    name: TableName
    partition: str

    @property
    def folder(self) -> str:
        """Where the files of the partition lie, relative to the warehouse."""
        return f"{self.name.folder}/{self.partition}".rstrip("/")


def locate(path: str) -> Location | None:
    """Say which partition a file belongs to.

    :param path: relative to the warehouse.
    :return: None for what Hive itself does not read as data: hidden files and folders (_SUCCESS, .staging),
        and files outside database.db/table/[part=value/]...
    """
    *folders, name = path.split("/")
    if any(part.startswith(_HIDDEN) or not part for part in (*folders, name)):
        return None
    if len(folders) < _TABLE_DEPTH or not folders[0].endswith(DATABASE_SUFFIX):
        return None
    database = folders[0].removesuffix(DATABASE_SUFFIX)
    partition = folders[_TABLE_DEPTH:]
    if not database or not all(is_partition_part(part) for part in partition):
        return None
    return Location(TableName(database, folders[1]), "/".join(partition))


def is_partition_part(part: str) -> bool:
    """Say whether a folder's name is column=value."""
    column, equals, value = part.partition("=")
    return bool(column and equals and value)
