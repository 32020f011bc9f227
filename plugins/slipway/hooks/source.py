"""Reads from git what an image is made from: the last commit of its folder, and a hash of every file in it."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slipway.errors import BuildError
from slipway.hooks.process import run
from slipway.images.source import Source, content_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GIT_TIMEOUT_S = 60.0


def source_of(context: Path) -> Source:
    """Return the state of an image's folder.

    The revision is the last commit that touched the folder, so a commit elsewhere does not make another image.

    :param context: a folder of a git repository.
    :raises BuildError: there is no such folder, no repository, no commit, or nothing in it.
    """
    if not context.is_dir():
        raise BuildError(f"the build context {context} is not a folder", mend="correct the image's context")
    # git names its files from the current folder; the second time stamp is the committer's, in seconds.
    revision, _, committed = _git(context, "log", "-1", "--format=%H %ct", "--", ".").strip().partition(" ")
    if not revision:
        raise BuildError(
            f"no commit has touched the build context {context}", mend="commit the image's files before building them"
        )
    files = tuple(_files(context))
    if not files:
        raise BuildError(f"the build context {context} holds no files", mend="correct the image's context")
    is_dirty = bool(_git(context, "status", "--porcelain", "--", ".").strip())
    return Source(
        revision=f"{revision}-dirty" if is_dirty else revision,
        committed_at=datetime.fromtimestamp(int(committed), UTC),
        content_sha256=content_sha256(files),
    )


def _files(context: Path) -> Iterator[tuple[str, str, bytes]]:
    listed = _git(context, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    for name in sorted(set(filter(None, listed.split("\0")))):
        path = context / name
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue  # removed and not committed: the builder will not see it either
        if stat.S_ISLNK(mode):
            yield name, "link", str(path.readlink()).encode()
        elif stat.S_ISREG(mode):
            yield name, "program" if mode & stat.S_IXUSR else "file", path.read_bytes()


def _git(context: Path, *arguments: str) -> str:
    # Whoever runs the tasks may not own the checkout; that is no reason to distrust what is only read.
    command = ["git", "-c", "safe.directory=*", *arguments]
    completed = run(command, timeout_s=GIT_TIMEOUT_S, cwd=context, error=BuildError)
    completed.require(
        f"git cannot say what {context} is made from",
        error=BuildError,
        mend="build from a checkout of the repository, with its .git folder",
    )
    return completed.stdout
