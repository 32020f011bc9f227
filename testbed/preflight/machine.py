"""The facts of a machine, gathered in a tenth of a second. Judges nothing."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from testbed import cgroups
from testbed.build import debian
from testbed.errors import BuildError
from testbed.preflight import probe
from testbed.preflight.kernel import Address, Listener, Route, listeners, routes

if TYPE_CHECKING:
    from testbed.catalog import Catalog
    from testbed.errors import MachineError
    from testbed.home import Home

COMMAND_TIMEOUT_S = 10
SUPERVISOR = b"-m\0testbed.supervisor\0"


@dataclass(frozen=True)
class FileSystem:
    """Where a folder lies, or will lie.

    :param folder: the folder, or the nearest above it that exists.
    :param mount: the mount point.
    :param device: its number: two folders with the same one share the space.
    :param free: bytes.
    """

    folder: Path
    mount: Path
    device: int
    free: int


@dataclass(frozen=True)
class Go:
    """The Go that is installed.

    :param path: the program.
    :param version: as ``(1, 26, 8)``.
    :param toolchain: what ``go env GOTOOLCHAIN`` says.
    """

    path: str
    version: tuple[int, ...]
    toolchain: str


@dataclass(frozen=True)
class Other:
    """A supervisor that runs already.

    :param state: its state folder.
    """

    pid: int
    state: str


@dataclass(frozen=True)
class Machine:
    """What the checks look at.

    :param missing_packages: None where there is no dpkg.
    :param probe: what failed inside trial namespaces, by step: see :mod:`testbed.preflight.probe`.
    :param memory: bytes that a new program can have.
    :param open_files: the soft and the hard limit.
    :param kernel_log: the error of opening /dev/kmsg.
    """

    system: str
    architecture: str
    root: bool
    apt: bool
    missing_packages: tuple[str, ...] | None
    missing_programs: tuple[str, ...]
    go: Go | None
    cache: FileSystem
    state: FileSystem
    memory: int
    probe: dict[str, str]
    cgroups: MachineError | None
    others: tuple[Other, ...]
    links: tuple[str, ...]
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    listeners: tuple[Listener, ...]
    open_files: tuple[int, int]
    kernel_log: str
    inotify_instances: int
    now: float


def look(home: Home, catalog: Catalog) -> Machine:
    """Gather the facts; leaves nothing behind.

    :param home: the folders, which need not exist yet.
    :param catalog: the table, for the packages.
    """
    root = os.geteuid() == 0
    state = file_system(home.state)
    missing = _missing_packages(catalog)
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        root=root,
        apt=shutil.which("apt-get", path=home.path()) is not None,
        missing_packages=missing,
        missing_programs=_missing_programs(home, catalog) if missing is None else (),
        go=_go(),
        cache=file_system(home.cache),
        state=state,
        memory=_memory(),
        probe=probe.run(state.folder) if root else {},
        cgroups=cgroups.detect().trouble() if root else None,
        others=_others(Path("/proc")),
        links=tuple(psutil.net_if_stats()),
        addresses=_addresses(),
        routes=routes(_read("/proc/net/route")),
        listeners=listeners(_read("/proc/net/tcp"), _read("/proc/net/udp")),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE),
        kernel_log=_kernel_log() if root else "",
        inotify_instances=int(_read("/proc/sys/fs/inotify/max_user_instances") or 0),
        now=time.time(),
    )


def file_system(folder: Path) -> FileSystem:
    """Find where a folder lies, which need not exist yet."""
    there = folder.absolute()
    while not there.is_dir():
        there = there.parent
    status, space = there.stat(), os.statvfs(there)
    mount = there.resolve()
    while not mount.is_mount():
        mount = mount.parent
    return FileSystem(there, mount, status.st_dev, space.f_bavail * space.f_frsize)


PROGRAMS = {
    "busybox-static": "busybox",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "etcd-server": "etcd",
    "iproute2": "ip",
    "nftables": "nft",
    "postgresql-15": "/usr/lib/postgresql/15/bin/postgres",
    "redis-tools": "redis-cli",
}
"""The program to look for, of a Debian package that is not named after it: for machines that have no dpkg."""


def _missing_packages(catalog: Catalog) -> tuple[str, ...] | None:
    try:
        return tuple(debian.missing(catalog.debian_packages))
    except BuildError:
        return None


def _missing_programs(home: Home, catalog: Catalog) -> tuple[str, ...]:
    programs = [PROGRAMS.get(package, package) for package in catalog.debian_packages]
    return tuple(program for program in programs if not shutil.which(program, path=home.path()))


def _go() -> Go | None:
    path = shutil.which("go")
    if path is None:
        return None
    # Not in a folder of ours: there a go.mod may make it fetch another toolchain before it answers.
    command = [path, "env", "GOVERSION", "GOTOOLCHAIN"]
    environment = {**os.environ, "GOWORK": "off"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
            cwd="/",
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return Go(path, (), "")
    version, _, toolchain = done.stdout.strip().partition("\n")
    return Go(path, parse_version(version), toolchain)


def parse_version(text: str) -> tuple[int, ...]:
    """Read ``go1.26.8`` or the ``1.26`` of a go.mod; empty when there is none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def _memory() -> int:
    """Return what is available, in a container within its own limit."""
    available = psutil.virtual_memory().available
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        text = _read(cgroups.ROOT / limit).strip()
        if text.isdecimal():
            available = min(available, int(text) - int(_read(cgroups.ROOT / used)))
    return int(available)


def _others(proc: Path) -> tuple[Other, ...]:
    found = []
    for folder in proc.iterdir():
        if not folder.name.isdecimal() or SUPERVISOR not in _read_bytes(folder / "cmdline"):
            continue
        # What is in another PID namespace is in a container of its own, or the child of what is found here.
        if _namespace(folder) != _namespace(proc / "self"):
            continue
        environment = dict(item.partition(b"=")[::2] for item in _read_bytes(folder / "environ").split(b"\0"))
        state = environment.get(b"SLIPWAY_TESTBED_STATE", b"").decode(errors="replace")
        found.append(Other(int(folder.name), state))
    return tuple(sorted(found, key=lambda other: other.pid))


def _namespace(process: Path) -> str:
    try:
        return str((process / "ns" / "pid").readlink())
    except OSError:
        return ""


def _addresses() -> tuple[Address, ...]:
    return tuple(
        Address(link, IPv4Interface(f"{item.address}/{item.netmask or 32}"))
        for link, items in psutil.net_if_addrs().items()
        for item in items
        if item.family.name == "AF_INET"
    )


def _kernel_log() -> str:
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _read(path: str | Path) -> str:
    return _read_bytes(Path(path)).decode(errors="replace")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
