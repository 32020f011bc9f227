from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from testbed import cgroups
from testbed.cgroups import Cgroups, Mode, detect
from testbed.errors import MachineError

V1 = {
    "cpu,cpuacct": "rw,nosuid,nodev,noexec,relatime,cpu,cpuacct",
    "cpuset": "rw,relatime,cpuset",
    "memory": "rw,relatime,memory",
    "pids": "rw,relatime,pids",
    "systemd": "rw,relatime,xattr,name=systemd",
}


class FakeTree:
    """Cgroup trees in a folder. A new cgroup gets its files as the kernel would make them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.mounts = root.parent / "mounts"
        self.mounts.write_text("proc /proc proc rw 0 0\n", encoding="utf-8")
        self.written: list[tuple[str, str]] = []
        self.fails: dict[str, int] = {}
        mkdir, write = Path.mkdir, Path.write_text

        def fake_mkdir(path: Path, *args: Any, **kwargs: Any) -> None:
            there = path.exists()
            mkdir(path, *args, **kwargs)
            if not there and path.is_relative_to(root):
                self._fill(path)

        def fake_write(path: Path, text: str, **kwargs: Any) -> int:
            if path.name == "cgroup.subtree_control" and text.startswith("+"):
                if code := self.fails.get(text[1:]):
                    raise OSError(code, os.strerror(code), str(path))
                self.written.append((str(path.parent.relative_to(root)), text))
                text = f"{path.read_text(encoding='ascii')} {text[1:]}"
            return write(path, text, **kwargs)

        monkeypatch.setattr(Path, "mkdir", fake_mkdir)
        monkeypatch.setattr(Path, "write_text", fake_write)

    def v1(self) -> None:
        for name, options in V1.items():
            folder = self.root / name
            folder.mkdir(parents=True)
            self._mount(folder, "cgroup", options)
        (self.root / "cpuset" / "cpuset.cpus").write_text("0-1\n", encoding="ascii")
        (self.root / "cpuset" / "cpuset.mems").write_text("0\n", encoding="ascii")

    def v2(self, where: str = ".", controllers: str = "cpu cpuset hugetlb io memory pids rdma") -> Path:
        folder = self.root / where
        folder.mkdir(parents=True, exist_ok=True)
        self._mount(folder, "cgroup2", "rw,nsdelegate")
        for name, text in {"controllers": controllers, "subtree_control": "", "procs": ""}.items():
            (folder / f"cgroup.{name}").write_text(text, encoding="ascii")
        return folder

    def detect(self) -> Cgroups:
        return detect(self.root, self.mounts)

    def _mount(self, folder: Path, kind: str, options: str) -> None:
        where = str(folder).replace(" ", "\\040")
        with self.mounts.open("a", encoding="utf-8") as file:
            file.write(f"{kind} {where} {kind} {options} 0 0\n")

    def _fill(self, folder: Path) -> None:
        files = {"cgroup.procs"}
        if folder.is_relative_to(self.root / "cpuset"):
            files |= {"cpuset.cpus", "cpuset.mems"}
        if (folder.parent / "cgroup.subtree_control").exists():
            files |= {"cgroup.subtree_control", "cgroup.type"}
        for file in files:
            (folder / file).touch()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTree:
    return FakeTree(tmp_path / "cgroup tree", monkeypatch)


def test_version_1_is_recognised_with_the_controllers_of_each_tree(tree: FakeTree) -> None:
    tree.v1()
    found = tree.detect()
    assert found.mode is Mode.V1
    assert {item.path.name: set(item.controllers) for item in found.hierarchies} == {
        "cpu,cpuacct": {"cpu", "cpuacct"},
        "cpuset": {"cpuset"},
        "memory": {"memory"},
        "pids": {"pids"},
        "systemd": set(),
    }
    assert found.trouble() is None


def test_hybrid_takes_its_controllers_from_version_1_alone(tree: FakeTree) -> None:
    tree.v1()
    tree.v2("unified", "hugetlb")
    found = tree.detect()
    assert found.mode is Mode.HYBRID
    assert found.controllers == {"cpu", "cpuacct", "cpuset", "memory", "pids"}
    assert found.trouble() is None


def test_version_2_is_recognised(tree: FakeTree) -> None:
    tree.v2()
    found = tree.detect()
    assert found.mode is Mode.V2
    assert "memory" in found.controllers
    assert found.trouble() is None


def test_mounts_outside_of_the_root_are_not_the_machines_own(tree: FakeTree, tmp_path: Path) -> None:
    tree.v2()
    with tree.mounts.open("a", encoding="utf-8") as file:
        file.write(f"cgroup {tmp_path}/elsewhere/memory cgroup rw,memory 0 0\n")
    assert tree.detect().mode is Mode.V2


def test_a_later_mount_hides_an_earlier_one_on_the_same_place(tree: FakeTree) -> None:
    tree.v2()
    tree.v2()
    assert len(tree.detect().hierarchies) == 1


def test_create_on_version_1_fills_the_cpusets_down_the_path(tree: FakeTree) -> None:
    tree.v1()
    tree.detect().create("slipway/node-1")
    for path in ("slipway", "slipway/node-1"):
        assert (tree.root / "cpuset" / path / "cpuset.cpus").read_text() == "0-1\n"
        assert (tree.root / "cpuset" / path / "cpuset.mems").read_text() == "0\n"
    assert all((tree.root / name / "slipway/node-1").is_dir() for name in V1)


def test_create_keeps_a_cpuset_that_somebody_chose(tree: FakeTree) -> None:
    tree.v1()
    found = tree.detect()
    found.create("slipway")
    chosen = tree.root / "cpuset/slipway/cpuset.cpus"
    chosen.write_text("1", encoding="ascii")
    found.create("slipway/node-1")
    assert chosen.read_text() == "1"
    assert (tree.root / "cpuset/slipway/node-1/cpuset.cpus").read_text() == "1"


def test_create_on_version_2_hands_the_controllers_down_and_leaves_those_already_there(
    tree: FakeTree,
) -> None:
    root = tree.v2()
    (root / "cgroup.subtree_control").write_text("cpu memory pids", encoding="ascii")
    found = tree.detect()
    found.create("slipway/node-1")
    assert tree.written == [
        *((".", f"+{name}") for name in ("cpuset", "hugetlb", "io")),
        *(("slipway", f"+{name}") for name in ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")),
    ]
    tree.written.clear()
    found.create("slipway/node-1")
    assert tree.written == []


def test_create_on_hybrid_makes_the_cgroup_in_every_tree(tree: FakeTree) -> None:
    tree.v1()
    tree.v2("unified", "")
    tree.detect().create("slipway/node-1")
    assert all((tree.root / name / "slipway/node-1").is_dir() for name in (*V1, "unified"))
    assert tree.written == []


def test_a_controller_that_is_only_good_to_have_may_be_refused(tree: FakeTree) -> None:
    tree.v2()
    tree.fails = {"io": errno.EOPNOTSUPP}
    tree.detect().create("slipway")
    assert (".", "+memory") in tree.written


def test_in_hybrid_the_version_2_tree_may_refuse(tree: FakeTree) -> None:
    tree.v1()
    tree.v2("unified", "hugetlb")
    tree.fails = {"hugetlb": errno.EBUSY}
    tree.detect().create("slipway")
    assert (tree.root / "unified/slipway").is_dir()


def test_processes_in_the_root_of_a_cgroup_namespace_are_a_clear_error(tree: FakeTree) -> None:
    root = tree.v2()
    (root / "cgroup.procs").write_text("1\n17\n", encoding="ascii")
    tree.fails = {"cpu": errno.EBUSY}
    with pytest.raises(MachineError) as caught:
        tree.detect().create("slipway")
    assert str(caught.value) == (
        "the cgroup controllers cannot be handed to the pods: processes of this container are in the way\n"
        f"  found  {root}/cgroup.procs names 2 processes, so Linux answers 'Device or resource busy'\n"
        "  do     docker run --cgroupns=host, or move them aside:\n"
        f"         mkdir -p {root}/init && xargs -rn1 < {root}/cgroup.procs > {root}/init/cgroup.procs"
    )


def test_the_crowded_root_is_seen_before_anything_is_changed(tree: FakeTree) -> None:
    root = tree.v2()
    (root / "cgroup.procs").write_text("0\n0\n17\n", encoding="ascii")
    assert tree.detect().trouble() is None, "the machine's own root may have processes"
    (root / "cgroup.type").write_text("domain", encoding="ascii")
    trouble = tree.detect().trouble()
    assert trouble
    assert "names 3 processes" in trouble.found
    (root / "cgroup.subtree_control").write_text("cpu cpuset hugetlb memory pids", encoding="ascii")
    assert tree.detect().trouble() is None, "everything is handed down already"


def test_another_refusal_names_the_controller_and_the_file(tree: FakeTree) -> None:
    root = tree.v2()
    tree.fails = {"cpu": errno.EINVAL}
    with pytest.raises(MachineError) as caught:
        tree.detect().create("slipway")
    assert str(caught.value) == (
        "the cgroup controller cpu cannot be handed to the pods\n"
        f"  found  {root}/cgroup.subtree_control: Invalid argument\n"
        "  do     start the testbed outside of this container, or delegate a whole cgroup to it"
    )


def test_a_closed_tree_is_a_clear_error(tree: FakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.v1()
    found = tree.detect()

    def refuse(path: Path, **kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(MachineError, match="Read-only file system"):
        found.create("slipway")
    trouble = found.trouble()
    assert trouble
    assert trouble.found.startswith("not writable: ")


def test_no_cgroups_at_all(tree: FakeTree) -> None:
    found = tree.detect()
    assert found.mode is Mode.NONE
    assert str(found.trouble()) == (
        "the machine has no usable cgroups\n"
        "  found  no file system of type cgroup or cgroup2 is mounted below /sys/fs/cgroup\n"
        "  do     mount -t cgroup2 none /sys/fs/cgroup; in a container, docker run --privileged does it"
    )


def test_missing_controllers_are_named(tree: FakeTree) -> None:
    tree.v2(controllers="cpu io")
    assert str(tree.detect().trouble()) == (
        "the machine's cgroups (v2) lack controllers that pods need: cpuset, memory, pids\n"
        "  found  there are cpu, io\n"
        "  do     boot Linux with them (memory: cgroup_enable=memory), or delegate them to this container"
    )


def test_processes_are_those_of_the_whole_subtree_that_have_a_number_here(tree: FakeTree) -> None:
    tree.v1()
    found = tree.detect()
    found.create("slipway/node-1")
    found.create("slipway/node-2")
    (tree.root / "pids/slipway/node-1/cgroup.procs").write_text("7\n8\n", encoding="ascii")
    (tree.root / "memory/slipway/node-1/cgroup.procs").write_text("8\n0\n9\n", encoding="ascii")
    (tree.root / "memory/slipway/node-2/cgroup.procs").write_text("10\n", encoding="ascii")
    assert found.processes("slipway/node-1") == {7, 8, 9}
    assert found.processes("slipway") == {7, 8, 9, 10}
    assert found.processes("slipway/node-3") == set()


@pytest.mark.parametrize("name", ["", ".", "/", "/slipway", "..", "slipway/../.."])
def test_a_name_cannot_reach_the_cgroups_of_others(tree: FakeTree, name: str) -> None:
    tree.v1()
    found = tree.detect()
    for call in (found.create, found.processes, found.sweep):
        with pytest.raises(ValueError, match="names no cgroup"):
            call(name)


def test_sweep_takes_everything_deepest_first(tmp_path: Path) -> None:
    (tmp_path / "memory/slipway/node-1/kubepods/pod-a").mkdir(parents=True)
    (tmp_path / "memory/user.slice").mkdir()
    (tmp_path / "mounts").write_text(f"cgroup {tmp_path}/memory cgroup rw,memory 0 0\n", encoding="utf-8")
    assert detect(tmp_path, tmp_path / "mounts").sweep() == []
    assert [item.name for item in (tmp_path / "memory").iterdir()] == ["user.slice"]


def test_sweep_tells_what_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = tmp_path / "memory/slipway/node-1"
    held.mkdir(parents=True)
    (held / "tasks").touch()  # stands in for a process: rmdir fails
    (tmp_path / "mounts").write_text(f"cgroup {tmp_path}/memory cgroup rw,memory 0 0\n", encoding="utf-8")
    monkeypatch.setattr(cgroups, "SWEEP_S", 0.1)
    assert detect(tmp_path, tmp_path / "mounts").sweep() == [held, held.parent]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make cgroups on the real machine")
def test_the_real_machine() -> None:
    found = detect()
    if (trouble := found.trouble()) is not None:
        pytest.skip(f"no usable cgroups on this machine: {trouble}")
    name = f"slipway-test-{os.getpid()}"
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            found.create(f"{name}/node-1")
            for tree in found.hierarchies:
                (tree.path / name / "node-1" / "cgroup.procs").write_text(str(child.pid), encoding="ascii")
            assert found.processes(name) == {child.pid}
            assert _sweep_quickly(found, name), "a living process holds its cgroup"
        finally:
            child.kill()
    begin = time.monotonic()
    assert found.sweep(name) == []
    assert time.monotonic() - begin < 1.0
    assert not any((tree.path / name).exists() for tree in found.hierarchies)


def _sweep_quickly(found: Cgroups, name: str) -> list[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cgroups, "SWEEP_S", 0.1)
        return found.sweep(name)
