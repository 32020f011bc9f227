"""Files of the cache that are either whole or not there, and hashes over what they were made from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def digest(*parts: object) -> str:
    """Return 12 hexadecimal digits over values that JSON can hold, so that no two lists run together.

    :param parts: what the result depends on.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def digest_of(files: Iterable[Path], below: Path) -> str:
    """Return 12 hexadecimal digits over the names and contents of files.

    :param files: in any order.
    :param below: the folder that their names are relative to, so that a moved checkout changes nothing.
    """
    return digest(
        *((str(file.relative_to(below)), hashlib.sha256(file.read_bytes()).hexdigest()) for file in sorted(files))
    )


def files_in(folder: Path) -> list[Path]:
    """Return every file below a folder, sorted.

    :param folder: the folder.
    """
    return sorted(path for path in folder.rglob("*") if path.is_file())


def write(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new one, and never a part.

    :param path: the file; its folder is made when it is missing.
    :param text: its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).chmod(0o644)
    Path(name).replace(path)


def link(path: Path, target: Path) -> None:
    """Point a symbolic link at a target; an old one is replaced in one step, for a process may be using it.

    :param path: the link.
    :param target: what it shall point to.
    """
    if path.is_symlink() and path.readlink() == target:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, or an empty one when it is missing or broken: it is only a cache.

    :param path: the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there.

    :param path: what to remove.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
