"""Checks of what has to be installed: Go, and the programs that come from Debian."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from testbed.build.go import MODULES
from testbed.preflight.finding import Finding, Level
from testbed.preflight.machine import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.preflight.finding import Plan
    from testbed.preflight.machine import Machine

FETCHES_TOOLCHAINS = (1, 21, 0)
"""Since this version Go can fetch the one that a go.mod asks for."""


def packages(machine: Machine, _: Plan) -> Iterator[Finding]:
    """Find out whether what is missing can be installed: where apt is, ``up`` does it."""
    if machine.missing_packages is None and machine.missing_programs:
        yield Finding(
            "programs are missing, and this machine has no apt to install them",
            found=f"missing: {', '.join(machine.missing_programs)}",
            do="use Debian 12 or a system made from it, or install them by other means",
        )
    elif machine.missing_packages and not machine.apt:
        yield Finding(
            "Debian packages are missing, and this machine has no apt to install them",
            found=f"missing: {', '.join(machine.missing_packages)}",
            do="install them by other means, then call up again",
        )


def go(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """Go builds every module, or may fetch the Go that does."""
    if not plan.needs_build:
        return
    needed = needed_go(MODULES)
    wanted = _text(needed)
    if machine.go is None:
        yield Finding(
            f"Go is missing: programs are to be built, and need Go {wanted}",
            found="no go on PATH",
            do=f"install Go {wanted} or newer (https://go.dev/doc/install), put /usr/local/go/bin on PATH",
        )
    elif not machine.go.version:
        yield Finding(
            f"Go does not answer: programs are to be built, and need Go {wanted}",
            found=f"{machine.go.path} env GOVERSION fails",
            do=f"install Go {wanted} or newer: https://go.dev/doc/install",
        )
    elif machine.go.version < needed:
        yield from _old(machine.go.path, machine.go.version, machine.go.toolchain, wanted)


def _old(path: str, version: tuple[int, ...], toolchain: str, wanted: str) -> Iterator[Finding]:
    found = f"{path} is Go {_text(version)}, GOTOOLCHAIN={toolchain}"
    if version < FETCHES_TOOLCHAINS:
        yield Finding(
            f"Go is too old: programs are to be built, and need Go {wanted}",
            found=f"{path} is Go {_text(version)}",
            do=f"install Go {wanted} or newer: https://go.dev/doc/install",
        )
    elif toolchain in ("local", "path"):
        yield Finding(
            f"Go is too old and may not fetch a newer one: programs are to be built, and need Go {wanted}",
            found=found,
            do=f"go env -w GOTOOLCHAIN=auto, or install Go {wanted} or newer: https://go.dev/doc/install",
        )
    else:
        yield Finding(
            f"Go is older than the modules ask for; it will fetch Go {wanted} first",
            found=found,
            do="nothing, if this machine may fetch it",
            level=Level.WARNING,
        )


@cache
def needed_go(modules: Path) -> tuple[int, ...]:
    """Return the newest Go that a go.mod asks for.

    :param modules: the folder with one folder a module.
    """
    lines = [line for file in modules.glob("*/go.mod") for line in file.read_text(encoding="utf-8").splitlines()]
    return max(parse_version(line) for line in lines if line.startswith("go "))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
