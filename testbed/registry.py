"""The registry of one testbed: a copy of what the build made, so that pushes end with the testbed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.build import files
from testbed.build.storage import copy_storage

if TYPE_CHECKING:
    from testbed.home import Home


def fill(home: Home) -> None:
    """Copy the built storage into the state folder, unless it is there; a kill leaves all of it or nothing."""
    target = home.state / "registry" / "storage"
    if target.exists():
        return
    partial = target.with_name("storage.partial")
    files.remove(partial)
    copy_storage(home.registry, partial)
    partial.replace(target)
