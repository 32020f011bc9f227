from __future__ import annotations

import os
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from testbed import catalog, preflight
from testbed.errors import MachineError
from testbed.home import Home
from testbed.network import Network
from testbed.preflight import Finding, Level, network, probe, tools
from testbed.preflight.kernel import Address, Listener, Route, listeners, routes
from testbed.preflight.machine import FileSystem, Go, Machine, Other, file_system, look, parse_version

TABLE = catalog.load()
HOME = Home(Path("/cache"), Path("/state"))
RANGE = IPv4Network("10.200.0.0/16")
GB = 10**9
GIB = 2**30
GOOD = Machine(
    system="Linux",
    architecture="x86_64",
    root=True,
    apt=True,
    missing_packages=("runc",),
    missing_programs=(),
    go=Go("/usr/local/go/bin/go", (1, 99, 0), "local"),
    cache=FileSystem(Path("/cache"), Path("/"), 1, 50 * GB),
    state=FileSystem(Path("/"), Path("/"), 1, 50 * GB),
    memory=16 * GIB,
    probe={},
    cgroups=None,
    others=(),
    links=("lo", "eth0"),
    addresses=(
        Address("lo", IPv4Interface("127.0.0.1/8")),
        Address("eth0", IPv4Interface("192.0.2.2/24")),
    ),
    routes=(Route("eth0", IPv4Network("0.0.0.0/0")), Route("eth0", IPv4Network("192.0.2.0/24"))),
    listeners=(Listener("tcp", IPv4Address("0.0.0.0"), 6443),),  # noqa: S104 - a fact, nothing is bound
    open_files=(20000, 20000),
    kernel_log="",
    inotify_instances=128,
    now=1_800_000_000.0,
)
OURS: dict[str, Any] = {
    "links": ("lo", "slipway0"),
    "addresses": (Address("slipway0", IPv4Interface("10.200.1.1/30")),),
    "routes": (Route("slipway0", RANGE), Route("slipway0", IPv4Network("10.200.1.0/30"))),
}


@pytest.fixture(autouse=True)
def _go_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "needed_go", lambda _: (1, 26, 6))


def check(machine: Machine, *, needs_build: bool = True, running: bool = False) -> list[Finding]:
    plan = Network(RANGE, 3)
    return preflight.check(HOME, plan, TABLE, needs_build=needs_build, running=running, machine=machine)


def test_a_good_machine_has_no_findings() -> None:
    assert check(GOOD) == []
    assert preflight.require(
        HOME, Network(RANGE, 3), TABLE, needs_build=True, running=False, machine=GOOD
    ) == []  # fmt: skip


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another system": (
        {"system": "Darwin", "architecture": "arm64"},
        "error: the testbed runs on Linux on x86-64 or arm64\n"
        "  found  Darwin on arm64\n"
        "  do     use a Linux machine, or an existing cluster: SLIPWAY_KUBECONTEXT=NAME; see --help",
    ),
    "another processor": (
        {"architecture": "riscv64"},
        "error: the testbed runs on Linux on x86-64 or arm64\n"
        "  found  Linux on riscv64\n"
        "  do     use a Linux machine, or an existing cluster: SLIPWAY_KUBECONTEXT=NAME; see --help",
    ),
    "not root": (
        {"root": False},
        "error: the testbed needs root: it makes namespaces, mounts and cgroups\n"
        "  found  this is not root; what only root can see was not checked\n"
        '  do     sudo -E env "PATH=$PATH" python -m testbed up',
    ),
    "a state folder that cannot be written": (
        {"probe": {"folder": "[Errno 30] Read-only file system: '/.slipway-probe-x'"}},
        "error: the state folder /state cannot be written\n"
        "  found  [Errno 30] Read-only file system: '/.slipway-probe-x'\n"
        "         it lies on the file system /\n"
        "  do     point SLIPWAY_TESTBED_STATE to a folder that can",
    ),
    "no dpkg": (
        {"apt": False, "missing_packages": None, "missing_programs": ("runc", "ip")},
        "error: programs are missing, and this machine has no apt to install them\n"
        "  found  missing: runc, ip\n"
        "  do     use Debian 12 or a system made from it, or install them by other means",
    ),
    "no apt": (
        {"apt": False, "missing_packages": ("runc", "skopeo")},
        "error: Debian packages are missing, and this machine has no apt to install them\n"
        "  found  missing: runc, skopeo\n"
        "  do     install them by other means, then call up again",
    ),
    "no Go": (
        {"go": None},
        "error: Go is missing: programs are to be built, and need Go 1.26.6\n"
        "  found  no go on PATH\n"
        "  do     install Go 1.26.6 or newer (https://go.dev/doc/install), put /usr/local/go/bin on PATH",
    ),
    "a broken Go": (
        {"go": Go("/usr/bin/go", (), "")},
        "error: Go does not answer: programs are to be built, and need Go 1.26.6\n"
        "  found  /usr/bin/go env GOVERSION fails\n"
        "  do     install Go 1.26.6 or newer: https://go.dev/doc/install",
    ),
    "an old Go": (
        {"go": Go("/usr/bin/go", (1, 19, 8), "")},
        "error: Go is too old: programs are to be built, and need Go 1.26.6\n"
        "  found  /usr/bin/go is Go 1.19.8\n"
        "  do     install Go 1.26.6 or newer: https://go.dev/doc/install",
    ),
    "a Go that may not fetch another": (
        {"go": Go("/usr/bin/go", (1, 26, 5), "local")},
        "error: Go is too old and may not fetch a newer one: programs are to be built, and need Go 1.26.6\n"
        "  found  /usr/bin/go is Go 1.26.5, GOTOOLCHAIN=local\n"
        "  do     go env -w GOTOOLCHAIN=auto, or install Go 1.26.6 or newer: https://go.dev/doc/install",
    ),
    "a Go that fetches another": (
        {"go": Go("/usr/bin/go", (1, 24, 0), "auto")},
        "warning: Go is older than the modules ask for; it will fetch Go 1.26.6 first\n"
        "  found  /usr/bin/go is Go 1.24.0, GOTOOLCHAIN=auto\n"
        "  do     nothing, if this machine may fetch it",
    ),
    "a full disk": (
        {
            "cache": replace(GOOD.cache, free=int(9.4 * GB)),
            "state": replace(GOOD.state, free=int(9.4 * GB)),
        },
        "error: too little disk for the testbed's cache and state: 10 GB must be free\n"
        "  found  9.4 GB are, on the file system / of /cache\n"
        "  do     free some space there, or point XDG_CACHE_HOME and SLIPWAY_TESTBED_STATE to a larger disk",
    ),
    "a full second disk": (
        {"state": FileSystem(Path("/var/lib"), Path("/var"), 2, GB)},
        "error: too little disk for the testbed's state: 2 GB must be free\n"
        "  found  1.0 GB are, on the file system /var of /var/lib\n"
        "  do     free some space there, or point SLIPWAY_TESTBED_STATE to a larger disk",
    ),
    "too little memory": (
        {"memory": 3 * GIB},
        "error: too little memory: 4 GiB must be available, 6 GiB are better\n"
        "  found  3.0 GiB available\n"
        "  do     end other programs, or use a larger machine",
    ),
    "little memory": (
        {"memory": 5 * GIB},
        "warning: little memory: three nodes with every add-on and a canary want 6 GiB\n"
        "  found  5.0 GiB available\n"
        "  do     python -m testbed up --nodes 1, or end other programs",
    ),
    "no namespaces": (
        {"probe": {"unshare": "unshare: unshare failed: Operation not permitted"}},
        "error: namespaces cannot be made: unshare --mount --pid --net fails\n"
        "  found  unshare: unshare failed: Operation not permitted\n"
        "  do     run it on the machine itself, or in a privileged container: docker run --privileged",
    ),
    "an overlay on an overlay": (
        {"probe": {"overlay": "mount: merged: wrong fs type, bad option, bad superblock on overlay."}},
        "error: an overlay file system cannot be mounted in the state folder /state\n"
        "  found  mount: merged: wrong fs type, bad option, bad superblock on overlay.\n"
        "         it lies on the file system /\n"
        "  do     modprobe overlay; a container's own root is an overlay already, and they do not stack:\n"
        "         point SLIPWAY_TESTBED_STATE to a volume (docker run -v testbed:/var/lib/slipway-testbed)",
    ),
    "a half overlay": (
        {"probe": {"whiteout": "rm: cannot remove 'merged/file': Operation not permitted"}},
        "error: an overlay file system cannot be used: a file in it cannot be removed in the state folder"
        " /state\n"
        "  found  rm: cannot remove 'merged/file': Operation not permitted\n"
        "         it lies on the file system /\n"
        "  do     modprobe overlay; a container's own root is an overlay already, and they do not stack:\n"
        "         point SLIPWAY_TESTBED_STATE to a volume (docker run -v testbed:/var/lib/slipway-testbed)",
    ),
    "no tmpfs": (
        {"probe": {"tmpfs": "mount: permission denied"}},
        "error: a tmpfs cannot be mounted in a mount namespace\n"
        "  found  mount: permission denied\n"
        "  do     run it on the machine itself, or in a privileged container: docker run --privileged",
    ),
    "no forwarding": (
        {"probe": {"forward": "sh: cannot create /proc/sys/net/ipv4/ip_forward: Read-only file system"}},
        "error: net.ipv4.ip_forward cannot be set in a network namespace\n"
        "  found  sh: cannot create /proc/sys/net/ipv4/ip_forward: Read-only file system\n"
        "  do     run it on the machine itself, or in a privileged container: docker run --privileged",
    ),
    "no bridge": (
        {"probe": {"bridge": "Error: Unknown device type."}},
        "error: a bridge cannot be made in a network namespace\n"
        "  found  Error: Unknown device type.\n"
        "  do     modprobe bridge",
    ),
    "no veth": (
        {"probe": {"veth": "Error: Unknown device type."}},
        "error: a veth pair cannot be made in a network namespace\n"
        "  found  Error: Unknown device type.\n"
        "  do     modprobe veth",
    ),
    "no nftables": (
        {"probe": {"nftables": "Error: Could not process rule: Operation not supported"}},
        "error: nftables cannot be used in a network namespace: kube-proxy needs it\n"
        "  found  Error: Could not process rule: Operation not supported\n"
        "  do     modprobe nf_tables",
    ),
    "unusable cgroups": (
        {"cgroups": MachineError("the machine has no usable cgroups", found="none", do="mount them")},
        "error: the machine has no usable cgroups\n  found  none\n  do     mount them",
    ),
    "another testbed": (
        {"others": (Other(71, "/other/state"), Other(72, "/other/state")), **OURS},
        "error: another testbed is running, and a machine carries one\n"
        "  found  process 71, with the state folder /other/state\n"
        "  do     SLIPWAY_TESTBED_STATE=/other/state python -m testbed down\n"
        "         if that does not know of it: kill -9 71",
    ),
    "a testbed of an unknown folder": (
        {"others": (Other(71, ""),)},
        "error: another testbed is running, and a machine carries one\n"
        "  found  process 71, with the state folder unknown\n"
        "  do     python -m testbed down\n"
        "         if that does not know of it: kill -9 71",
    ),
    "a link left over": (
        OURS,
        "warning: the link slipway0 is left over from a testbed that is gone; up replaces it\n"
        "  found  ip link shows slipway0, and no testbed is running\n"
        "  do     ip link delete slipway0",
    ),
    "an address in the range": (
        {
            "addresses": (Address("docker0", IPv4Interface("10.200.3.1/24")),),
            "routes": (Route("docker0", IPv4Network("10.200.3.0/24")),),
        },
        "error: the testbed's range of addresses, 10.200.0.0/16, is taken on this machine\n"
        "  found  docker0 has the address 10.200.3.1/24\n"
        "  do     SLIPWAY_TESTBED_RANGE=10.201.0.0/16 python -m testbed up",
    ),
    "routes of a company's network": (
        {
            "routes": (
                Route("tun0", IPv4Network("10.200.7.0/24")),
                Route("tun0", IPv4Network("10.200.0.0/15")),
                Route("tun1", IPv4Network("10.203.9.9/32")),
            )
        },
        "error: the testbed's range of addresses, 10.200.0.0/16, is taken on this machine\n"
        "  found  the route 10.200.7.0/24 leads to tun0\n"
        "         the route 10.200.0.0/15 leads to tun0\n"
        "  do     SLIPWAY_TESTBED_RANGE=10.202.0.0/16 python -m testbed up",
    ),
    "a route over all of 10/8": (
        {"routes": (Route("tun0", IPv4Network("10.0.0.0/8")),)},
        "error: the testbed's range of addresses, 10.200.0.0/16, is taken on this machine\n"
        "  found  the route 10.0.0.0/8 leads to tun0\n"
        "  do     SLIPWAY_TESTBED_RANGE=172.31.0.0/16 python -m testbed up",
    ),
    "nothing free": (
        {
            "routes": tuple(
                Route("tun0", IPv4Network(text))
                for text in (
                    "10.0.0.0/8",
                    "172.16.0.0/12",
                    "192.168.0.0/16",
                    "198.18.0.0/15",
                    "100.64.0.0/10",
                )
            )
        },
        "error: the testbed's range of addresses, 10.200.0.0/16, is taken on this machine\n"
        "  found  the route 10.0.0.0/8 leads to tun0\n"
        "  do     set SLIPWAY_TESTBED_RANGE to a /16 that this machine never talks to",
    ),
    "a port taken": (
        {"listeners": (Listener("tcp", IPv4Address("10.200.1.1"), 6443),)},
        "error: a program of this machine listens inside the testbed's range, 10.200.0.0/16\n"
        "  found  tcp 10.200.1.1:6443\n"
        "  do     end it (ss -lntup names it), or choose another SLIPWAY_TESTBED_RANGE",
    ),
    "few open files": (
        {"open_files": (1024, -1)},
        "error: too few open files are allowed: 8192 are needed\n"
        "  found  ulimit -n says 1024, the hard limit is none\n"
        "  do     ulimit -n 8192",
    ),
    "few open files for good": (
        {"open_files": (1024, 4096)},
        "error: too few open files are allowed: 8192 are needed\n"
        "  found  ulimit -n says 1024, the hard limit is 4096\n"
        "  do     raise nofile in /etc/security/limits.conf, then log in again",
    ),
    "no kernel log": (
        {"kernel_log": "Operation not permitted"},
        "error: /dev/kmsg cannot be read: a kubelet does not start without it\n"
        "  found  Operation not permitted\n"
        "  do     in a container: docker run --privileged, or --device /dev/kmsg",
    ),
    "few inotify instances": (
        {"inotify_instances": 64},
        "error: too few inotify instances are allowed: 128 are needed\n"
        "  found  fs.inotify.max_user_instances = 64\n"
        "  do     sysctl -w fs.inotify.max_user_instances=512",
    ),
    "a clock that lost its battery": (
        {"now": 86_400.0},
        "error: the clock is wrong: certificates would not be valid yet\n"
        "  found  it shows 1970-01-02 00:00 UTC\n"
        "  do     timedatectl set-ntp true, or date -s 'YYYY-MM-DD HH:MM'",
    ),
}


@pytest.mark.parametrize(("facts", "text"), BAD.values(), ids=BAD.keys())
def test_each_bad_machine_gets_one_message(facts: dict[str, Any], text: str) -> None:
    machine = replace(GOOD, **facts)
    findings = check(machine)
    assert [str(finding) for finding in findings] == [text]
    plan = Network(RANGE, 3)
    if findings[0].level is Level.WARNING:
        assert preflight.require(
            HOME, plan, TABLE, needs_build=True, running=False, machine=machine
        ) == findings  # fmt: skip
    else:
        with pytest.raises(MachineError) as caught:
            preflight.require(HOME, plan, TABLE, needs_build=True, running=False, machine=machine)
        assert text in str(caught.value)
        assert caught.value.exit_code == 3


def test_everything_is_told_at_once_errors_first() -> None:
    machine = replace(GOOD, memory=5 * GIB, go=None, inotify_instances=1)
    with pytest.raises(preflight.UnfitError) as caught:
        preflight.require(HOME, Network(RANGE, 3), TABLE, needs_build=True, running=False, machine=machine)
    assert [part.partition(":")[0] for part in str(caught.value).split("\n\n")] == [
        "this machine cannot carry a testbed",
        "error",
        "error",
        "warning",
    ]
    assert str(caught.value).startswith(
        "this machine cannot carry a testbed: 2 things are in the way; nothing was changed\n\n"
        "error: Go is missing: programs are to be built, and need Go 1.26.6\n"
    )
    assert len(caught.value.findings) == 3


def test_a_finished_build_needs_no_go_and_less_disk() -> None:
    cache, state = replace(GOOD.cache, free=0), replace(GOOD.state, device=2, free=3 * GB)
    assert check(replace(GOOD, go=None, cache=cache, state=state), needs_build=False) == []


def test_a_running_testbeds_own_link_route_and_memory_are_no_obstacle() -> None:
    machine = replace(
        GOOD,
        memory=3 * GIB,
        others=(Other(71, "/state"),),
        listeners=(Listener("tcp", IPv4Address("10.200.1.1"), 80),),
        **OURS,
    )
    assert check(machine, running=True) == []


def test_every_proposal_is_a_private_range() -> None:
    assert all(item.prefixlen == 16 and not item.is_global for item in network.PRIVATE)


def test_the_kernels_tables_are_read() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   \n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0   \n"
        "tun0\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0   \n"
        "slipway0\t0001C80A\t00000000\t0001\t0\t0\t0\tFCFFFFFF\t0\t0\t0   \n"
    )
    assert routes(table) == (
        Route("eth0", IPv4Network("0.0.0.0/0")),
        Route("tun0", IPv4Network("192.168.0.0/16")),
        Route("slipway0", IPv4Network("10.200.1.0/30")),
    )
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    tcp = "   0: 0101C80A:192B 00000000:0000 0A 00000000:00000000\n   1: 0100007F:0050 0100007F:1F90 01 0:0\n"
    udp = " 17: 0100007F:0035 00000000:0000 07 00000000:00000000\n"
    assert listeners(head + tcp, head + udp) == (
        Listener("tcp", IPv4Address("10.200.1.1"), 6443),
        Listener("udp", IPv4Address("127.0.0.1"), 53),
    )
    assert routes("") == ()
    assert listeners("", "") == ()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8", (1, 26, 8)),
        ("go 1.26", (1, 26, 0)),
        ("go1.27rc1", (1, 27, 0)),
        ("devel go1.28-3f8a X:boring", (1, 28, 0)),
        ("gccgo", ()),
    ],
)
def test_versions_of_go(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


def test_the_newest_go_mod_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for name, line in {"a": "go 1.26", "b": "go 1.26.6", "c": "go 1.9"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module m\n\n{line}\n\ntool m/x\n", encoding="utf-8")
    assert tools.needed_go(tmp_path) == (1, 26, 6)


def test_the_trial_tells_the_step_and_the_error() -> None:
    out = "overlay mount: /x: wrong fs type.\nveth Error: Unknown device type.\n"
    assert probe.read(out, "") == {
        "overlay": "mount: /x: wrong fs type.",
        "veth": "Error: Unknown device type.",
    }
    denied = "unshare: unshare failed: Operation not permitted"
    assert probe.read("", denied + "\n") == {"unshare": denied}


def test_a_folder_that_does_not_exist_yet_lies_where_the_nearest_above_it_lies(tmp_path: Path) -> None:
    found = file_system(tmp_path / "not" / "yet")
    assert found.folder == tmp_path
    assert tmp_path.is_relative_to(found.mount)
    assert found.free > 0


def test_the_real_machine_is_looked_at_quickly_and_left_as_it_was(tmp_path: Path) -> None:
    home = Home(tmp_path / "cache", tmp_path / "state")
    look(home, TABLE)  # the first call pays for reading programs from disk
    begin = time.monotonic()
    machine = look(home, TABLE)
    assert time.monotonic() - begin < 0.3
    assert list(tmp_path.iterdir()) == []
    assert machine.root == (os.geteuid() == 0)
    assert "lo" in {address.link for address in machine.addresses}
