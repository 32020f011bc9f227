"""The registry of one testbed: a copy of what the build made, so that pushes end with the testbed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.home import Home


def fill(home: Home) -> None:
    """Copy the built storage into the state folder, unless it is there.

    Blobs are never written again, so they become hard links where both folders share a file system; tags and
    manifests' links are small files that a push overwrites in place, so they are copied.
    """
    target = home.state / "registry" / "storage"
    if target.exists():
        return
    partial = target.with_name("storage.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(home.registry, partial, copy_function=_link_or_copy)
    partial.replace(target)


def _link_or_copy(source: str, target: str) -> None:
    if os.path.basename(source) == "data":  # noqa: PTH119 - copytree hands over strings
        try:
            os.link(source, target)
        except OSError:
            pass  # another file system
        else:
            return
    shutil.copyfile(source, target)
