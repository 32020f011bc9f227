"""`down` leaves nothing: everything of the machine that a testbed touches is compared before and after.

Runs last, because it ends the testbed. One node is enough for every kind of trace, and proves `--nodes 1` by the way.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.cluster import HOME, apply, eventually, kubectl, service, testbed, workload

HOME_FOLDER = str(Path.home())
FOLDERS = ("/etc", "/run", "/var", "/opt", HOME_FOLDER, "/usr/local")
PRUNED = {f"{HOME_FOLDER}/.cache", f"{HOME_FOLDER}/go", f"{HOME_FOLDER}/.config", "/var/log", "/var/cache"}
"""The programs' cache and Go's own stay on purpose; the rest is written by everybody at any time."""


def traces() -> dict[str, set[str]]:
    """Return everything of the machine that a testbed could leave, by kind."""
    links = json.loads(_output("ip", "-json", "link"))
    return {
        # buildah keeps a mount of its own store between calls, whoever called it.
        "mounts": {where for where in _mounts() if not where.startswith("/var/lib/containers/")},
        "links": {link["ifname"] for link in links},
        "routes": set(_output("ip", "route", "show", "table", "all").splitlines()),
        "network namespaces": set(_output("lsns", "--type=net", "--noheadings", "--output=NS").split()),
        "nft ruleset": set(_output("nft", "list", "ruleset").splitlines()),
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").rglob("*") if path.is_dir()},
        "processes": {" ".join(command) for command in _commands()},
        "files": {name for folder in FOLDERS for name in _walk(folder)},
    }


def test_down_leaves_nothing(image: str) -> None:
    assert testbed("down").returncode == 0
    before = traces()

    done = testbed("up", "--nodes", "1")
    assert done.returncode == 0, done.stderr
    # The image went with the registry; an upstream one does as well for a pod with a volume and a port of the host.
    apply(
        "default",
        workload("Deployment", "guest", "docker.io/library/traefik:v3.6.0", pod=GUEST),
        service("guest", "guest"),
    )
    eventually(
        "a running guest",
        lambda: json.loads(_pods())["items"][0]["status"]["phase"] == "Running",
        within_s=40,
    )
    during = traces()
    assert during["links"] - before["links"], "the comparison is blind: it does not even see the running testbed"
    assert during["cgroups"] - before["cgroups"]
    assert during["processes"] - before["processes"]
    written = {name for name in during["files"] - before["files"] if not name.startswith(str(HOME.state))}
    assert not written, f"written outside of the state folder: {sorted(written)[:10]}"

    done = testbed("down")  # how long that takes is a figure of benchmarks/testbed.md, and not of a busy machine
    assert done.returncode == 0, done.stderr

    after = traces()
    for kind, there in after.items():
        new = there - before[kind]
        assert not new, f"{kind} that were not there before: {sorted(new)[:10]}"
    assert not HOME.state.exists()


def test_down_without_a_testbed_says_so(bed: None) -> None:
    testbed("down")
    done = testbed("down")
    assert done.returncode == 0
    assert done.stdout == "no testbed was running\n"


@pytest.mark.parametrize("command", [["status"], ["kubeconfig"], ["logs", "etcd"], ["push", "x"], ["stop", "etcd"]])
def test_what_needs_a_testbed_says_that_none_runs(bed: None, command: list[str]) -> None:
    testbed("down")
    done = testbed(*command)
    assert done.returncode == 2
    assert done.stderr == "error: no testbed is running\n  do     python -m testbed up\n"


GUEST = {
    "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}],
    "automountServiceAccountToken": True,
}


def _mounts() -> list[str]:
    return [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]


def _commands() -> list[list[str]]:
    """Return the commands of the testbed's processes, which all name its state folder.

    Other people's processes come and go on a machine. Those in pods name nothing, but sit in the cgroups.
    """
    marks = (str(HOME.state), "testbed.supervisor")
    found = []
    for process in psutil.process_iter(["cmdline", "exe"]):
        words = [*(process.info["cmdline"] or []), process.info["exe"] or ""]
        if any(mark in word for word in words for mark in marks):
            found.append(words)
    return found


def _pods() -> str:
    return kubectl("get", "pods", "--namespace=default", "--selector=app=guest", "-o", "json")


def _output(*command: str) -> str:
    return subprocess.run(command, text=True, capture_output=True, check=True, timeout=30).stdout


def _walk(top: str) -> set[str]:
    found = set()
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if f"{folder}/{name}" not in PRUNED]
        found |= {f"{folder}/{name}" for name in (*folders, *files)}
    return found
