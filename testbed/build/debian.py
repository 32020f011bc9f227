"""Debian packages: which are missing, and installing them without starting anything."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.build.process import call
from testbed.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from testbed.build.process import Finished

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Placed for one installation by slipway's testbed: no service is to be started.\nexit 101\n"
CLUSTER = Path("/etc/postgresql-common/createcluster.conf")
QUERY_LIMIT = 30.0
UPDATE_LIMIT = 300.0
INSTALL_LIMIT = 1800.0
OPTIONS = (
    "--yes",
    "--no-install-recommends",
    "--option=DPkg::Lock::Timeout=120",  # another apt at work is waited for
    "--option=Dpkg::Options::=--force-confold",  # a file that we put there first is no reason to ask
)


def missing(packages: Sequence[str]) -> list[str]:
    """Return the packages that are not installed, in the given order.

    :param packages: names of packages.
    :raises BuildError: this is no Debian.
    """
    if not packages:
        return []
    query = ("dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", *packages)
    lines = call(query, timeout=QUERY_LIMIT).out.splitlines()
    installed = {name for name, _, status in (line.partition(" ") for line in lines) if status == "installed"}
    return [package for package in packages if package not in installed]


def install(packages: Sequence[str], say: Callable[[str], None]) -> None:
    """Install packages; no service is started and no database cluster is made by that.

    :param packages: names of packages.
    :param say: takes a line before each step that lasts.
    :raises BuildError: not root, or apt failed.
    """
    if not packages:
        return
    names = " ".join(packages)
    if os.geteuid() != 0:
        raise BuildError(
            "Debian packages are missing",
            found=names,
            do=f"sudo apt-get install --no-install-recommends {names}",
        )
    command = ("apt-get", "install", *OPTIONS, *packages)
    with _no_services():
        _no_cluster(packages)
        say(f"installing Debian packages: {names}")
        finished = _apt(command, INSTALL_LIMIT)
        if finished.code != 0:
            # The lists are absent on a fresh machine and stale on an old one; good ones do not lead here.
            say("updating apt's package lists, then installing again")
            _apt(("apt-get", "update", *OPTIONS[:1]), UPDATE_LIMIT)
            finished = _apt(command, INSTALL_LIMIT)
    if finished.code != 0:
        raise BuildError(
            "Debian packages could not be installed",
            found=finished.last_words,
            do=f"correct what apt says, then try by hand: apt-get install --no-install-recommends {names}",
        )


def _apt(command: tuple[str, ...], timeout: float) -> Finished:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    return call(command, timeout=timeout, env=env)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Forbid packages to start services, in the way that Debian has for it; the machine's own rule stays."""
    try:
        # Made only if it is not there: in one step, for two installations may run.
        descriptor = os.open(POLICY, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o755)
    except FileExistsError:
        yield
        return
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(POLICY_TEXT)
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def _no_cluster(packages: Sequence[str]) -> None:
    if any(package.startswith("postgresql") for package in packages) and not CLUSTER.exists():
        CLUSTER.parent.mkdir(parents=True, exist_ok=True)
        CLUSTER.write_text("create_main_cluster = false\n", encoding="utf-8")
