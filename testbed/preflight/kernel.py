"""Addresses, routes and listeners, from the kernel's own tables: a bare machine has no ``ip`` yet."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

LISTENS = {"tcp": "0A", "udp": "07"}
"""The state in which a socket waits for others: TCP_LISTEN, and for UDP, which has no states, TCP_CLOSE."""


@dataclass(frozen=True)
class Address:
    """An address of the machine.

    :param link: the interface.
    """

    link: str
    interface: IPv4Interface


@dataclass(frozen=True)
class Route:
    """A route of the machine's main table.

    :param link: the interface that it leads to.
    """

    link: str
    network: IPv4Network


@dataclass(frozen=True)
class Listener:
    """A socket that waits.

    :param protocol: ``tcp`` or ``udp``.
    """

    protocol: str
    address: IPv4Address
    port: int


def routes(table: str) -> tuple[Route, ...]:
    """Read /proc/net/route.

    :param table: its text.
    """
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        found.append(Route(fields[0], IPv4Network(f"{_address(fields[1])}/{_address(fields[7])}")))
    return tuple(found)


def listeners(tcp: str, udp: str) -> tuple[Listener, ...]:
    """Read /proc/net/tcp and /proc/net/udp.

    :param tcp: the text of the one.
    :param udp: the text of the other.
    """
    found = []
    for protocol, table in (("tcp", tcp), ("udp", udp)):
        for line in table.splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == LISTENS[protocol]:
                address, _, port = local.partition(":")
                found.append(Listener(protocol, _address(address), int(port, 16)))
    return tuple(found)


def _address(text: str) -> IPv4Address:
    """Read eight hexadecimal digits as the kernel prints them, lowest byte first on what is served here."""
    return IPv4Address(bytes.fromhex(text)[::-1])
