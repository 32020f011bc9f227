"""Checks of the machine's network: the testbed's range of addresses is free, and its one link is ours."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from testbed.preflight.finding import Finding, Level
from testbed.sandbox import UPLINK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.preflight.finding import Plan
    from testbed.preflight.machine import Machine

PRIVATE = tuple(
    [IPv4Network(f"10.{number}.0.0/16") for number in (*range(201, 255), *range(200, 0, -1))]
    + [IPv4Network(f"172.{number}.0.0/16") for number in range(31, 15, -1)]
    # The last two are set aside for tests of networks (RFC 2544) and for carriers (RFC 6598).
    + [IPv4Network("192.168.0.0/16"), IPv4Network("198.18.0.0/16"), IPv4Network("100.64.0.0/16")]
)
"""What to propose, in this order."""


def other_testbed(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """Two testbeds would take each other's link and cgroups."""
    if machine.others and not plan.running:
        first = machine.others[0]
        prefix = f"SLIPWAY_TESTBED_STATE={first.state} " if first.state else ""
        yield Finding(
            "another testbed is running, and a machine carries one",
            found=f"process {first.pid}, with the state folder {first.state or 'unknown'}",
            do=f"{prefix}python -m testbed down\nif that does not know of it: kill -9 {first.pid}",
        )


def leftover_link(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """Nothing of the cable's name is there: where it is, something still holds its other end."""
    if UPLINK in machine.links and not plan.running and not machine.others:
        yield Finding(
            f"the link {UPLINK} is left over from a testbed that is gone; up replaces it",
            found=f"ip link shows {UPLINK}, and no testbed is running",
            do=f"ip link delete {UPLINK}",
            level=Level.WARNING,
        )


def address_range(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """No address or route of the machine lies in the range, or around it."""
    wanted = plan.network.range
    taken = _taken(machine)
    found = [text for network, text in taken if network.overlaps(wanted)]
    if not found:
        return
    free = next((item for item in PRIVATE if not any(item.overlaps(network) for network, _ in taken)), None)
    yield Finding(
        f"the testbed's range of addresses, {wanted}, is taken on this machine",
        found="\n".join(found),
        do=f"SLIPWAY_TESTBED_RANGE={free} python -m testbed up"
        if free
        else "set SLIPWAY_TESTBED_RANGE to a /16 that this machine never talks to",
    )


def ports(machine: Machine, plan: Plan) -> Iterator[Finding]:
    """Inside its own namespace no port is taken; at an address of the range on the machine one may be."""
    if plan.running:
        return
    found = [
        f"{item.protocol} {item.address}:{item.port}"
        for item in machine.listeners
        if item.address in plan.network.range
    ]
    if found:
        yield Finding(
            f"a program of this machine listens inside the testbed's range, {plan.network.range}",
            found="\n".join(found),
            do="end it (ss -lntup names it), or choose another SLIPWAY_TESTBED_RANGE",
        )


def _taken(machine: Machine) -> list[tuple[IPv4Network, str]]:
    """Return what the machine talks to, and why; everything but the default route and our own cable."""
    addresses = [
        (item.interface.network, f"{item.link} has the address {item.interface}")
        for item in machine.addresses
        if item.link != UPLINK
    ]
    own = {(item.link, item.interface.network) for item in machine.addresses}
    routes = [
        (item.network, f"the route {item.network} leads to {item.link}")
        for item in machine.routes
        # An address brings the route of its own network along: it is told once.
        if item.link != UPLINK and item.network.prefixlen and (item.link, item.network) not in own
    ]
    return addresses + routes
