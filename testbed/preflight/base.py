"""Checks of the machine itself: what it is, what it has room for, what its kernel allows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from testbed.preflight.finding import Finding, Level
from testbed.preflight.probe import FOLDER, UNSHARE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.preflight.finding import Plan
    from testbed.preflight.machine import Machine

GB = 10**9
GIB = 2**30
ARCHITECTURES = ("x86_64", "aarch64", "arm64")
BUILD_DISK = 10 * GB
STATE_DISK = 2 * GB
MEMORY_NEEDED = 4 * GIB
MEMORY_WANTED = 6 * GIB
OPEN_FILES = 8192
INOTIFY_INSTANCES = 128
YOUNGEST_COMPONENT = datetime(2025, 12, 1, tzinfo=UTC)
"""No clock that is right shows less: components of the table are not older."""
PRIVILEGED = "run it on the machine itself, or in a privileged container: docker run --privileged"


def system(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Linux on x86-64 or arm64."""
    if machine.system != "Linux" or machine.architecture not in ARCHITECTURES:
        yield Finding(
            "the testbed runs on Linux on x86-64 or arm64",
            found=f"{machine.system} on {machine.architecture}",
            do="use a Linux machine, or an existing cluster: SLIPWAY_KUBECONTEXT=NAME; see --help",
        )


def root(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Namespaces, mounts and cgroups need root, and so does looking at most of the rest."""
    if not machine.root:
        yield Finding(
            "the testbed needs root: it makes namespaces, mounts and cgroups",
            found="this is not root; what only root can see was not checked",
            do='sudo -E env "PATH=$PATH" python -m testbed up',
        )


def state_folder(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """Everything of a running testbed is written there."""
    if FOLDER in machine.probe:
        yield Finding(
            f"the state folder {plan.home.state} cannot be written",
            found=f"{machine.probe[FOLDER]}\nit lies on the file system {machine.state.mount}",
            do="point SLIPWAY_TESTBED_STATE to a folder that can",
        )


def disk(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """Room for a build in the cache, and for images and volumes in the state folder."""
    wants = [("state", machine.state, STATE_DISK)]
    if plan.needs_build:
        wants.insert(0, ("cache", machine.cache, BUILD_DISK))
    for device in dict.fromkeys(place.device for _, place, _ in wants):
        here = [(role, place, size) for role, place, size in wants if place.device == device]
        # Not the sum: what a build takes beyond its result is free again before the testbed starts.
        needed = max(size for _, _, size in here)
        place = here[0][1]
        if place.free < needed:
            roles = " and ".join(role for role, _, _ in here)
            variables = {"cache": "XDG_CACHE_HOME", "state": "SLIPWAY_TESTBED_STATE"}
            chosen = " and ".join(variables[role] for role, _, _ in here)
            yield Finding(
                f"too little disk for the testbed's {roles}: {needed / GB:g} GB must be free",
                found=f"{place.free / GB:.1f} GB are, on the file system {place.mount} of {place.folder}",
                do=f"free some space there, or point {chosen} to a larger disk",
            )


def memory(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """Room for the control plane, three nodes and every add-on, and for what a canary doubles."""
    if machine.memory >= MEMORY_WANTED or plan.running:
        return
    found = f"{machine.memory / GIB:.1f} GiB available"
    if machine.memory < MEMORY_NEEDED:
        yield Finding(
            "too little memory: 4 GiB must be available, 6 GiB are better",
            found=found,
            do="end other programs, or use a larger machine",
        )
    else:
        yield Finding(
            "little memory: three nodes with every add-on and a canary want 6 GiB",
            found=found,
            do="python -m testbed up --nodes 1, or end other programs",
            level=Level.WARNING,
        )


def namespaces(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Mount, PID and network namespaces of its own."""
    if UNSHARE in machine.probe:
        yield Finding(
            "namespaces cannot be made: unshare --mount --pid --net fails",
            found=machine.probe[UNSHARE],
            do=PRIVILEGED,
        )


def overlay(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """Containers' file systems are overlay mounts on the state folder."""
    for step in ("overlay", "whiteout"):
        if step in machine.probe:
            deed = "mounted" if step == "overlay" else "used: a file in it cannot be removed"
            yield Finding(
                f"an overlay file system cannot be {deed} in the state folder {plan.home.state}",
                found=f"{machine.probe[step]}\nit lies on the file system {machine.state.mount}",
                do="modprobe overlay; a container's own root is an overlay already, and they do not stack:\n"
                "point SLIPWAY_TESTBED_STATE to a volume (docker run -v testbed:/var/lib/slipway-testbed)",
            )


def inside(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Mounts, links and settings that have to work inside the new namespaces."""
    steps = {
        "tmpfs": ("a tmpfs cannot be mounted in a mount namespace", PRIVILEGED),
        "forward": ("net.ipv4.ip_forward cannot be set in a network namespace", PRIVILEGED),
        "bridge": ("a bridge cannot be made in a network namespace", "modprobe bridge"),
        "veth": ("a veth pair cannot be made in a network namespace", "modprobe veth"),
        "nftables": (
            "nftables cannot be used in a network namespace: kube-proxy needs it",
            "modprobe nf_tables",
        ),
    }
    for step, (what, do) in steps.items():
        if step in machine.probe:
            yield Finding(what, found=machine.probe[step], do=do)


def control_groups(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Cgroups of any layout that pods can be held by."""
    if trouble := machine.cgroups:
        yield Finding(trouble.what, found=trouble.found, do=trouble.do)


def open_files(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Every process of the testbed inherits the limit."""
    soft, hard = machine.open_files
    if 0 <= soft < OPEN_FILES:
        may = hard < 0 or hard >= OPEN_FILES
        yield Finding(
            f"too few open files are allowed: {OPEN_FILES} are needed",
            found=f"ulimit -n says {soft}, the hard limit is {hard if hard >= 0 else 'none'}",
            do=f"ulimit -n {OPEN_FILES}" if may else "raise nofile in /etc/security/limits.conf, then log in again",
        )


def kernel_log(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Kubelets read there which process was ended for want of memory, and do not start without."""
    if machine.kernel_log:
        yield Finding(
            "/dev/kmsg cannot be read: a kubelet does not start without it",
            found=machine.kernel_log,
            do="in a container: docker run --privileged, or --device /dev/kmsg",
        )


def inotify(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Kubelets, containerds and the programs in pods watch files."""
    if machine.inotify_instances < INOTIFY_INSTANCES:
        yield Finding(
            f"too few inotify instances are allowed: {INOTIFY_INSTANCES} are needed",
            found=f"fs.inotify.max_user_instances = {machine.inotify_instances}",
            do="sysctl -w fs.inotify.max_user_instances=512",
        )


def clock(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Certificates, of the testbed and of module proxies, are refused by a clock that is far behind."""
    if machine.now < YOUNGEST_COMPONENT.timestamp():
        yield Finding(
            "the clock is wrong: certificates would not be valid yet",
            found=f"it shows {datetime.fromtimestamp(machine.now, UTC):%Y-%m-%d %H:%M} UTC",
            do="timedatectl set-ntp true, or date -s 'YYYY-MM-DD HH:MM'",
        )
