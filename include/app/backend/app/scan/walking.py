"""Walk a tree within limits, so that one endless warehouse does not hold a worker for ever."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.errors import StorageError, StorageTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.storage.tree import FileEntry, Tree


def walk(tree: Tree, timeout_s: float, max_files: int) -> Iterator[FileEntry]:
    """Yield the files of a tree.

    :raises StorageTimeoutError: the walk took longer than timeout_s.
    :raises StorageError: more than max_files; half a count would be taken for a whole one.
    """
    deadline = time.monotonic() + timeout_s
    for seen, entry in enumerate(tree.files(), start=1):
        if time.monotonic() > deadline:
            raise StorageTimeoutError(f"scan: {seen} files seen in {timeout_s:g} s (APP_SCAN_TIMEOUT_S)")
        if seen > max_files:
            raise StorageError(f"scan: more than {max_files} files (APP_SCAN_MAX_FILES)")
        yield entry
