"""The machine's cgroups, in all three layouts: version 1, version 2, and hybrid (v1 beside a small v2 tree).

The kubelets keep their pods below ``/slipway/NODE`` in every hierarchy; they find that folder made, and
:meth:`Cgroups.sweep` takes it away. Kubelets and containerd use the driver ``cgroupfs``, never systemd's, in
every layout: then what was made here is ours alone, and the machine needs no systemd.

Sources: cgroups(7); Documentation/admin-guide/cgroup-v2.rst of Linux, "Top-down Constraint" and "No Internal
Process Constraint"; pkg/kubelet/cm of Kubernetes 1.34: what a kubelet checks of its ``cgroupRoot`` first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from testbed.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/sys/fs/cgroup")
MOUNTS = Path("/proc/self/mounts")
V1_CONTROLLERS = frozenset(
    {"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc"}
    | {"net_cls", "net_prio", "perf_event", "pids", "rdma"}
)
NEEDED_V1 = frozenset({"cpu", "cpuacct", "cpuset", "memory", "pids"})
NEEDED_V2 = frozenset({"cpu", "cpuset", "memory", "pids"})
HANDED_DOWN = NEEDED_V2 | {"hugetlb"}
"""A kubelet wants in its ``cgroupRoot`` all of these that the root has (cgroupV2impl.Validate)."""
OPTIONAL = frozenset({"io"})
REOPEN = "run as root; in a container, mount the cgroups writable (docker run --privileged does)"
SWEEP_S = 3.0
POLL_S = 0.05


class Mode(StrEnum):
    """Which layout the machine has."""

    NONE = "none"
    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


@dataclass(frozen=True)
class Hierarchy:
    """One mounted tree of cgroups.

    :param path: where it is mounted.
    :param controllers: those that belong to it.
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
        """The layout, by which trees there are."""
        match sorted({tree.unified for tree in self.hierarchies}):
            case []:
                return Mode.NONE
            case [unified]:
                return Mode.V2 if unified else Mode.V1
            case _:
                return Mode.HYBRID

    @property
    def controllers(self) -> frozenset[str]:
        """Every controller that a kubelet finds: where version 1 trees are, it looks into no other."""
        unified = self.mode is Mode.V2
        return frozenset().union(*(tree.controllers for tree in self.hierarchies if tree.unified is unified))

    def trouble(self) -> MachineError | None:
        """Say why a testbed could not use these cgroups, without changing anything; None when it can."""
        if self.mode is Mode.NONE:
            return MachineError(
                "the machine has no usable cgroups",
                found=f"no file system of type cgroup or cgroup2 is mounted below {ROOT}",
                do=f"mount -t cgroup2 none {ROOT}; in a container, docker run --privileged does it",
            )
        needed = NEEDED_V2 if self.mode is Mode.V2 else NEEDED_V1
        if lacking := sorted(needed - self.controllers):
            return MachineError(
                f"the machine's cgroups ({self.mode}) lack controllers that pods need: {', '.join(lacking)}",
                found=f"there are {', '.join(sorted(self.controllers)) or 'none'}",
                do="boot Linux with them (memory: cgroup_enable=memory), or delegate them to this container",
            )
        closed = [str(tree.path) for tree in self.hierarchies if not os.access(tree.path, os.W_OK)]
        if closed:
            return MachineError(
                "the machine's cgroups cannot be written",
                found=f"not writable: {', '.join(closed)}",
                do=REOPEN,
            )
        return next((found for tree in self.hierarchies if (found := self._crowded(tree))), None)

    def create(self, name: str) -> None:
        """Make a cgroup in every tree, ready for children.

        :param name: like ``slipway/node-1``; a kubelet's ``cgroupRoot`` is the same with a slash in front.
        :raises MachineError: a tree is closed to us, or a controller cannot be handed down, as in a container
            whose own processes sit in the root of its cgroup namespace.
        :raises ValueError: the name is empty or leads out of the tree.
        """
        parts = _parts(name)
        for tree in self.hierarchies:
            path = tree.path
            for part in parts:
                if tree.unified:
                    self._hand_down(tree, path)
                parent, path = path, path / part
                try:
                    path.mkdir(exist_ok=True)
                    if "cpuset" in tree.controllers and not tree.unified:
                        _inherit_cpuset(parent, path)
                except OSError as error:
                    raise MachineError(
                        f"the cgroup /{name} cannot be made",
                        found=f"{error.filename or path}: {error.strerror}",
                        do=REOPEN,
                    ) from error

    def processes(self, name: str) -> set[int]:
        """Return every process in a cgroup or below it, in any tree, as far as this PID namespace knows it.

        :param name: like ``slipway/node-1``.
        """
        parts = _parts(name)
        found: set[int] = set()
        for tree in self.hierarchies:
            for folder in _folders(tree.path.joinpath(*parts)):
                with contextlib.suppress(OSError):
                    found |= set(_pids(folder))
        # 0 is a process that this namespace has no number for; to kill(2) it means the whole own group.
        return found - {0}

    def sweep(self, name: str = "slipway") -> list[Path]:
        """Remove a cgroup and all below it from every tree; what just ended may hold it for a moment.

        Ends no process: a cgroup in which one lives on stays, and is told.

        :param name: like ``slipway``.
        :return: what could not be removed within three seconds.
        """
        parts = _parts(name)
        deadline = time.monotonic() + SWEEP_S
        while left := [folder for tree in self.hierarchies for folder in _remove(tree.path.joinpath(*parts))]:
            if time.monotonic() > deadline:
                return left
            time.sleep(POLL_S)
        return []

    def _hand_down(self, tree: Hierarchy, path: Path) -> None:
        """Let the children of a version 2 cgroup use its controllers: each level must allow it."""
        control = path / "cgroup.subtree_control"
        already = set(control.read_text(encoding="ascii").split())
        for controller in sorted((tree.controllers & (HANDED_DOWN | OPTIONAL)) - already):
            try:
                control.write_text(f"+{controller}", encoding="ascii")
            except OSError as error:
                # In a hybrid layout no kubelet looks into this tree at all.
                if controller in OPTIONAL or self.mode is Mode.HYBRID:
                    continue
                if error.errno == errno.EBUSY:
                    raise _crowd(path) from error
                raise MachineError(
                    f"the cgroup controller {controller} cannot be handed to the pods",
                    found=f"{control}: {error.strerror}",
                    do="start the testbed outside of this container, or delegate a whole cgroup to it",
                ) from error

    def _crowded(self, tree: Hierarchy) -> MachineError | None:
        """Tell whether handing down will fail because processes sit in a root that is not the real one."""
        control, kind = tree.path / "cgroup.subtree_control", tree.path / "cgroup.type"
        # The machine's own root alone has no cgroup.type, and alone may have processes beside such children.
        if self.mode is not Mode.V2 or not kind.exists():
            return None
        missing = (tree.controllers & HANDED_DOWN) - set(control.read_text(encoding="ascii").split())
        return _crowd(tree.path) if missing and _pids(tree.path) else None


def detect(root: Path = ROOT, mounts: Path = MOUNTS) -> Cgroups:
    """Read which trees are mounted.

    :param root: what is mounted elsewhere, as by a container's runtime, is not the machine's own.
    :param mounts: in the format of /proc/self/mounts.
    """
    trees: dict[Path, Hierarchy] = {}
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, where, kind, options, *_ = line.split()
        path = Path(_unescape(where))
        if not path.is_relative_to(root):
            continue
        # A later mount on the same place hides the earlier one.
        if kind == "cgroup2":
            listed = path / "cgroup.controllers"
            controllers = listed.read_text(encoding="ascii").split() if listed.exists() else []
            trees[path] = Hierarchy(path, frozenset(controllers), unified=True)
        elif kind == "cgroup":
            trees[path] = Hierarchy(path, V1_CONTROLLERS & set(options.split(",")), unified=False)
    return Cgroups(tuple(trees.values()))


def _parts(name: str) -> tuple[str, ...]:
    """Split a cgroup's name; a careless one would reach the cgroups of everybody else."""
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("/", "..") for part in parts):
        raise ValueError(f"{name!r} names no cgroup of its own below the root")
    return parts


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _crowd(path: Path) -> MachineError:
    number = len(_pids(path))
    return MachineError(
        "the cgroup controllers cannot be handed to the pods: processes of this container are in the way",
        found=f"{path}/cgroup.procs names {number} processes, so Linux answers {os.strerror(errno.EBUSY)!r}",
        do="docker run --cgroupns=host, or move them aside:\n"
        f"mkdir -p {path}/init && xargs -rn1 < {path}/cgroup.procs > {path}/init/cgroup.procs",
    )


def _pids(folder: Path) -> list[int]:
    """Read who sits in one cgroup. A process of an outer PID namespace has no number here and reads as 0."""
    return [int(pid) for pid in (folder / "cgroup.procs").read_text(encoding="ascii").split()]


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
