"""What the HTTP interface takes and gives."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.scan.layout import is_partition_part

Item = TypeVar("Item")


def _one_folder(value: str) -> str:
    if "/" in value or value.startswith((".", "_")):
        raise ValueError("a plain name, without / and not beginning with . or _")
    return value


def _partition(value: str) -> str:
    if value and not all(is_partition_part(part) and not part.startswith((".", "_")) for part in value.split("/")):
        raise ValueError("column=value, joined by /, or nothing")
    return value


FolderName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_one_folder)]
Partition = Annotated[str, Field(max_length=2000), AfterValidator(_partition)]


class Page(BaseModel, Generic[Item]):
    """A page of a list.

    :param next_after: give it as ?after= for the next page; null on the last one.
    """

    items: list[Item]
    next_after: int | None = None


class FromRow(BaseModel):
    """Read from a row of the database."""

    model_config = ConfigDict(from_attributes=True)


class ClusterIn(BaseModel):
    """A warehouse to look after."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    root_url: str = Field(min_length=1, max_length=2000)


class ClusterOut(FromRow):
    """A warehouse."""

    id: int
    name: str
    root_url: str
    created_at: datetime
    last_scan_task_id: int | None


class TableOut(FromRow):
    """A table in the newest scan of its cluster; the last two since 1.0.0."""

    id: int
    cluster_id: int
    database_name: str
    table_name: str
    partitions: int
    total_files: int
    small_files: int
    total_bytes: int
    small_bytes: int
    scanned_at: datetime


class RatedTableOut(TableOut):
    """A table with the share of its small files and the mean size of all."""

    small_file_ratio: float | None
    avg_file_bytes: int | None


class PartitionOut(FromRow):
    """A partition with small files."""

    partition: str
    total_files: int
    small_files: int
    total_bytes: int
    small_bytes: int


class ScanTaskIn(BaseModel):
    """A scan to make."""

    model_config = ConfigDict(extra="forbid")

    cluster_id: int = Field(ge=1)


class MergeTaskIn(BaseModel):
    """A partition to merge; an empty partition is the table itself."""

    model_config = ConfigDict(extra="forbid")

    cluster_id: int = Field(ge=1)
    database_name: FolderName
    table_name: FolderName
    partition: Partition = ""


class TaskOut(FromRow):
    """How far a task has come."""

    id: int
    cluster_id: int
    status: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    version: str | None
    error: str | None


class ScanTaskOut(TaskOut):
    """A scan."""

    tables: int
    files: int
    small_files: int


class MergeTaskOut(TaskOut):
    """A merge."""

    database_name: str
    table_name: str
    partition: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    row_count: int


class LogLine(FromRow):
    """A line of a task's log."""

    logged_at: datetime
    message: str


class VersionOut(BaseModel):
    """Which version answers, and what it can do that others may not."""

    version: str
    features: list[str]
    schema_head: str
