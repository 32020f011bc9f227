"""The machine's cgroups, in all three layouts: version 1, version 2, and hybrid (v1 controllers beside an empty v2).

The kubelets keep their pods below ``/slipway/NODE`` in every hierarchy; they find that folder made, and `sweep` takes it
away. Sources: cgroups(7); Documentation/admin-guide/cgroup-v2.rst of Linux, "Top-down Constraint" and "No Internal
Process Constraint".
"""

from __future__ import annotations

import contextlib
import errno
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/self/mounts")
NEEDED = frozenset({"cpu", "cpuset", "memory", "pids"})
"""Controllers without which a kubelet does not start (kubelet, validateSystemRequirements)."""
WANTED = NEEDED | {"io", "hugetlb"}
SWEEP_S = 3.0


class Mode(StrEnum):
    """Which layout the machine has."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


@dataclass(frozen=True)
class Hierarchy:
    """One mounted tree of cgroups.

    :param unified: it is a version 2 tree.
    """

    path: Path
    controllers: frozenset[str]
    unified: bool


@dataclass(frozen=True)
class Cgroups:
    """All mounted trees."""

    hierarchies: tuple[Hierarchy, ...]

    @property
    def mode(self) -> Mode:
        """The layout, by where the controllers are."""
        if not any(not tree.unified for tree in self.hierarchies):
            return Mode.V2
        return Mode.HYBRID if any(tree.unified for tree in self.hierarchies) else Mode.V1

    @property
    def controllers(self) -> frozenset[str]:
        """Every controller of every tree."""
        return frozenset().union(*(tree.controllers for tree in self.hierarchies))

    def create(self, name: str) -> None:
        """Make a cgroup in every tree, ready for children.

        :param name: like ``slipway/node-1``.
        :raises MachineError: a controller cannot be handed down, as in a container whose own processes sit in the root.
        """
        for tree in self.hierarchies:
            path = tree.path
            for part in Path(name).parts:
                if tree.unified and tree.controllers:
                    _hand_down(path, tree.controllers)
                parent, path = path, path / part
                path.mkdir(exist_ok=True)
                if "cpuset" in tree.controllers and not tree.unified:
                    _inherit_cpuset(parent, path)

    def processes(self, name: str) -> set[int]:
        """Return every process in a cgroup or below it, in any tree."""
        found: set[int] = set()
        for tree in self.hierarchies:
            for folder in _folders(tree.path / name):
                with contextlib.suppress(OSError):
                    found |= {int(pid) for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split()}
        return found

    def sweep(self, name: str) -> list[Path]:
        """Remove a cgroup and all below it from every tree; processes that just ended may hold it for a moment.

        :return: what could not be removed within three seconds.
        """
        deadline = time.monotonic() + SWEEP_S
        while left := [folder for tree in self.hierarchies for folder in _remove(tree.path / name)]:
            if time.monotonic() > deadline:
                return left
            time.sleep(0.05)
        return []


def detect(mounts: Path = MOUNTS) -> Cgroups:
    """Read which trees are mounted.

    :param mounts: in the format of /proc/self/mounts.
    """
    trees = []
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, where, kind, options, *_ = line.split()
        path = Path(where)
        if kind == "cgroup2":
            listed = path / "cgroup.controllers"
            controllers = listed.read_text(encoding="ascii").split() if listed.exists() else []
            trees.append(Hierarchy(path, frozenset(controllers), unified=True))
        elif kind == "cgroup" and "name=" not in options:
            generic = {"rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime", "xattr", "seclabel"}
            trees.append(Hierarchy(path, frozenset(options.split(",")) - generic, unified=False))
        elif kind == "cgroup":
            trees.append(Hierarchy(path, frozenset(), unified=False))
    return Cgroups(tuple(trees))


def _hand_down(path: Path, controllers: frozenset[str]) -> None:
    control = path / "cgroup.subtree_control"
    already = set(control.read_text(encoding="ascii").split())
    for controller in sorted((controllers & WANTED) - already):
        try:
            control.write_text(f"+{controller}", encoding="ascii")
        except OSError as error:
            if controller not in NEEDED:
                continue
            reason = "processes sit in it" if error.errno == errno.EBUSY else str(error.strerror)
            raise MachineError(
                f"the cgroup controller {controller} cannot be handed to the pods",
                found=f"{control}: {reason}",
                do="start the testbed outside of this container, or give the container a cgroup that is delegated whole",
            ) from error


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """Fill what version 1 leaves empty: no process can enter a cpuset without processors and memory."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not (child / file).read_text(encoding="ascii").strip():
            (child / file).write_text((parent / file).read_text(encoding="ascii"), encoding="ascii")


def _folders(top: Path) -> Iterator[Path]:
    """Walk deepest first; a cgroup may vanish while we look."""
    with contextlib.suppress(OSError):
        for child in top.iterdir():
            if child.is_dir():
                yield from _folders(child)
        yield top


def _remove(top: Path) -> list[Path]:
    left = []
    for folder in _folders(top):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            left.append(folder)
    return left
