"""One file tree: list, read, write, rename, delete, with errors that say what to do next.

Every path is relative to the root, with forward slashes.
"""

from __future__ import annotations

import posixpath
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

import requests

from app.errors import (
    StorageError,
    StorageMissingError,
    StorageRefusedError,
    StorageTimeoutError,
    StorageUnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec import AbstractFileSystem

BUFFER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class FileEntry:
    """One file of the tree.

    :param path: relative to the root of the tree.
    :param modified: as the tree says it, only to be compared with itself; two equal values mean: not
    written since.
    """

    path: str
    size: int
    modified: str = ""


class Tree:
    """A file tree under one root, local or remote; every call may raise a StorageError."""

    def __init__(self, filesystem: AbstractFileSystem, root: str) -> None:
        self._fs = filesystem
        self._root = root.rstrip("/")

    def files(self, folder: str = "") -> Iterator[FileEntry]:
        """Walk the tree below a folder, one listing at a time, in order of the names."""
        folders = [folder]
        while folders:
            here = folders.pop()
            entries = self._list(here)
            for entry in entries:
                path = posixpath.join(here, posixpath.basename(entry["name"].rstrip("/")))
                if entry["type"] == "directory":
                    folders.append(path)
                elif entry["type"] == "file":  # a link could lead out of the tree or in circles
                    yield _entry(path, entry)

    def files_in(self, folder: str) -> list[FileEntry]:
        """List the files that lie directly in a folder."""
        return [
            _entry(posixpath.join(folder, posixpath.basename(entry["name"])), entry)
            for entry in self._list(folder)
            if entry["type"] == "file"
        ]

    def folders_in(self, folder: str) -> list[str]:
        """List the names of the folders that lie directly in a folder."""
        entries = self._list(folder)
        return [posixpath.basename(entry["name"].rstrip("/")) for entry in entries if entry["type"] == "directory"]

    def stat(self, path: str) -> FileEntry | None:
        """Return the file, or None when there is none."""
        try:
            with _translated("stat", path):
                return _entry(path, self._fs.info(self._full(path)))
        except StorageMissingError:
            return None

    @contextmanager
    def reader(self, path: str) -> Iterator[IO[bytes]]:
        """Open a file for reading."""
        with (
            _translated("read", path),
            self._fs.open(self._full(path), "rb", block_size=BUFFER_BYTES) as stream,
        ):
            yield cast("IO[bytes]", stream)

    @contextmanager
    def writer(self, path: str) -> Iterator[IO[bytes]]:
        """Open a new file for writing, with its folders; an old one under the same name is replaced."""
        with _translated("write", path):
            self._fs.makedirs(self._full(posixpath.dirname(path)), exist_ok=True)
            with self._fs.open(self._full(path), "wb", block_size=BUFFER_BYTES) as stream:
                yield cast("IO[bytes]", stream)

    def rename(self, source: str, target: str) -> None:
        """Move a file, and prove that it has moved: WebHDFS answers a refused rename with 200.

        :raises StorageError: the target exists, or the file has not moved.
        """
        if self.stat(target) is not None:
            raise StorageError(f"rename {source}: {target} is already there")
        with _translated("rename", source):
            self._fs.makedirs(self._full(posixpath.dirname(target)), exist_ok=True)
            self._fs.mv(self._full(source), self._full(target))
        if self.stat(target) is None:
            raise StorageError(f"rename {source}: {target} is not there afterwards")

    def delete(self, path: str) -> None:
        """Remove a file or a folder with all it holds; a missing one is no error."""
        try:
            with _translated("delete", path):
                self._fs.rm(self._full(path), recursive=True)
        except StorageMissingError:
            return

    def _list(self, folder: str) -> list[dict[str, Any]]:
        with _translated("list", folder):
            entries = self._fs.ls(self._full(folder), detail=True, refresh=True)
        return sorted(entries, key=lambda entry: str(entry["name"]))

    def _full(self, path: str) -> str:
        if ".." in path.split("/"):
            raise StorageRefusedError(f"{path}: leads out of the tree")
        return f"{self._root}/{path}".rstrip("/") or "/"


def _entry(path: str, info: dict[str, Any]) -> FileEntry:
    modified = info.get("mtime", info.get("modificationTime", ""))
    return FileEntry(path, int(info["size"] or 0), str(modified))


@contextmanager
def _translated(action: str, path: str) -> Iterator[None]:
    """Turn what the library raises into our errors; the order matters, several are OSErrors."""
    where = f"{action} {path or '(root)'}"
    try:
        yield
    except StorageError:
        raise
    except FileNotFoundError as error:
        raise StorageMissingError(f"{where}: not there") from error
    except (PermissionError, ValueError) as error:
        raise StorageRefusedError(f"{where}: refused ({type(error).__name__})") from error
    except (requests.Timeout, TimeoutError) as error:
        raise StorageTimeoutError(f"{where}: no answer in time (APP_STORAGE_TIMEOUT_S)") from error
    except (requests.RequestException, RuntimeError, OSError) as error:
        # The text of the error may hold a URL with a token: only its kind is kept.
        raise StorageUnreachableError(f"{where}: failed ({type(error).__name__})") from error
