"""Whether a machine can carry the testbed, asked before anything is changed: all that is wrong, at once.

:func:`testbed.preflight.machine.look` gathers facts; the checks judge them and touch nothing, so that a test
needs no bad machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.errors import MachineError
from testbed.preflight import base, network, tools
from testbed.preflight.finding import Finding, Level, Plan
from testbed.preflight.machine import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from testbed.catalog import Catalog
    from testbed.home import Home
    from testbed.network import Network
    from testbed.preflight.machine import Machine

__all__ = ["Finding", "Level", "UnfitError", "check", "require"]

CHECKS: tuple[Callable[[Machine, Plan], Iterable[Finding]], ...] = (
    base.system,
    base.root,
    base.state_folder,
    tools.packages,
    tools.go,
    base.disk,
    base.memory,
    base.namespaces,
    base.overlay,
    base.inside,
    base.control_groups,
    network.other_testbed,
    network.leftover_link,
    network.address_range,
    network.ports,
    base.open_files,
    base.kernel_log,
    base.inotify,
    base.clock,
)


class UnfitError(MachineError):
    """Everything that is in the way, each with what to do.

    :param findings: what was found, errors and warnings.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        number = sum(finding.level is Level.ERROR for finding in self.findings)
        reasons = "one thing is" if number == 1 else f"{number} things are"
        super().__init__(f"this machine cannot carry a testbed: {reasons} in the way; nothing was changed")

    def __str__(self) -> str:
        return "\n\n".join([self.what, *map(str, self.findings)])


def check(
    home: Home,
    network: Network,
    catalog: Catalog,
    *,
    needs_build: bool,
    running: bool,
    machine: Machine | None = None,
) -> list[Finding]:
    """Look at the machine.

    :param home: the folders.
    :param network: the plan of addresses.
    :param catalog: the table.
    :param needs_build: whether something is still to be built.
    :param running: whether a testbed runs, whose own route and link are then no obstacle.
    :param machine: its facts, gathered now when left out.
    :return: what is in the way or at least doubtful, errors first; empty on a good machine.
    """
    plan = Plan(home, network, catalog, needs_build=needs_build, running=running)
    facts = machine or look(home, catalog)
    findings = [finding for judge in CHECKS for finding in judge(facts, plan)]
    return sorted(findings, key=lambda finding: finding.level is not Level.ERROR)


def require(
    home: Home,
    network: Network,
    catalog: Catalog,
    *,
    needs_build: bool,
    running: bool,
    machine: Machine | None = None,
) -> list[Finding]:
    """Refuse a machine that cannot carry the testbed.

    The parameters are those of :func:`check`.

    :return: the warnings, worth a line to the user.
    :raises MachineError: everything that is in the way, with what to do about each.
    """
    findings = check(home, network, catalog, needs_build=needs_build, running=running, machine=machine)
    if any(finding.level is Level.ERROR for finding in findings):
        raise UnfitError(findings)
    return findings
