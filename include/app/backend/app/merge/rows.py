"""Rows of a text file: lines. Counted, joined and fingerprinted while they stream by."""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from app.errors import MergeUnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 1024 * 1024
NEWLINE = b"\n"
TEXT_SUFFIXES = frozenset({"", ".txt", ".csv", ".tsv", ".json", ".jsonl"})
"""Hive's TEXTFILE writes names like 000000_0, without a suffix."""
_MAGIC = (b"PAR1", b"ORC", b"Obj\x01", b"SEQ", b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


@dataclass
class Content:
    """What has streamed by: rows, bytes, and a fingerprint of the bytes in their order."""

    rows: int = 0
    size: int = 0
    digest: str = ""


class ContentMeter:
    """Measures what streams by; each file ends with a newline, as the merged file needs it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._rows = 0
        self._size = 0

    def chunks(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield the file's bytes, with a newline after a last row that has none."""
        last = NEWLINE
        while chunk := stream.read(CHUNK_BYTES):
            last = chunk[-1:]
            yield self._measured(chunk)
        if last != NEWLINE:
            yield self._measured(NEWLINE)

    def content(self) -> Content:
        """Return what has streamed by until now."""
        return Content(self._rows, self._size, self._hash.hexdigest())

    def _measured(self, chunk: bytes) -> bytes:
        self._hash.update(chunk)
        self._rows += chunk.count(NEWLINE)
        self._size += len(chunk)
        return chunk


def check_name(path: str) -> None:
    """Refuse a file whose rows are no lines, by its name.

    :raises MergeUnsupportedError: not a suffix of a text file.
    """
    suffix = posixpath.splitext(posixpath.basename(path))[1].lower()
    if suffix not in TEXT_SUFFIXES:
        raise MergeUnsupportedError(f"{path}: rows of {suffix} files cannot be counted; text files only")


def check_start(path: str, start: bytes) -> None:
    """Refuse a file whose rows are no lines, by its first bytes: Hive's file names say nothing.

    :raises MergeUnsupportedError: the start of a binary or compressed format.
    """
    if start.startswith(_MAGIC):
        raise MergeUnsupportedError(f"{path}: a binary or compressed file; text files only")
