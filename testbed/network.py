"""The addresses of a testbed: one range of the size /16 holds everything, so one route on the machine reaches it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.errors import UsageError

DEFAULT_RANGE = "10.200.0.0/16"
DOMAIN = "testbed.internal"
"""The company's own domain: postgres.testbed.internal, registry.testbed.internal:5000, hive.testbed.internal."""
MAX_NODES = 9
CGROUP = "slipway"
"""The cgroup of the whole testbed."""


@dataclass(frozen=True)
class Node:
    """One node: a network namespace with an address on the bridge and a pod range of its own."""

    index: int
    name: str
    address: IPv4Address
    pods: IPv4Network

    @property
    def cgroup(self) -> str:
        """The cgroup of its pods, in every hierarchy."""
        return f"{CGROUP}/{self.name}"


@dataclass(frozen=True)
class Network:
    """The plan of addresses inside the range.

    ===================  =======================================================
    x.y.0.1              the bridge: API server, registry, PostgreSQL, sinks
    x.y.0.11, .12, ...   the nodes
    x.y.1.0/30           the veth pair between the machine and the testbed
    x.y.64.0/18          services
    x.y.128.0/17         pods, one /24 a node
    ===================  =======================================================
    """

    range: IPv4Network
    node_count: int

    @classmethod
    def plan(cls, node_count: int, chosen_range: str | None = None) -> Network:
        """Lay the plan into a range: the given one, SLIPWAY_TESTBED_RANGE, or the default.

        :raises UsageError: the range is not an IPv4 /16, or the number of nodes is out of bounds.
        """
        text = chosen_range or os.environ.get("SLIPWAY_TESTBED_RANGE") or DEFAULT_RANGE
        try:
            chosen = IPv4Network(text)
        except ValueError as error:
            raise UsageError(
                "SLIPWAY_TESTBED_RANGE is not an IPv4 network",
                found=str(error),
                do="set it like 10.201.0.0/16",
            ) from error
        if chosen.prefixlen != 16:
            raise UsageError("SLIPWAY_TESTBED_RANGE has the wrong size", found=text, do="set a /16, like 10.201.0.0/16")
        if not 1 <= node_count <= MAX_NODES:
            raise UsageError(
                f"a testbed has 1 to {MAX_NODES} nodes",
                found=f"--nodes {node_count}",
                do="--nodes 3 is the default",
            )
        return cls(chosen, node_count)

    @property
    def control(self) -> IPv4Address:
        """The bridge: where the control plane and the world around the application listen."""
        return self.range[1]

    @property
    def api_server(self) -> str:
        """The URL of the Kubernetes API."""
        return f"https://{self.control}:6443"

    @property
    def uplink_machine(self) -> IPv4Address:
        """The machine's end of the veth pair."""
        return self.range[256 + 1]

    @property
    def uplink_testbed(self) -> IPv4Address:
        """The testbed's end of the veth pair: the machine's next hop into the range."""
        return self.range[256 + 2]

    @property
    def services(self) -> IPv4Network:
        """The range of service addresses."""
        return IPv4Network((int(self.range[64 * 256]), 18))

    @property
    def api_service(self) -> IPv4Address:
        """The address of ``kubernetes.default.svc``: the first of the services."""
        return self.services[1]

    @property
    def dns(self) -> IPv4Address:
        """The fixed service address of CoreDNS."""
        return self.services[10]

    @property
    def pods(self) -> IPv4Network:
        """The range of pod addresses, split by node."""
        return IPv4Network((int(self.range[128 * 256]), 17))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, the first one carrying the ingress."""
        return tuple(
            Node(
                index=index,
                name=f"node-{index}",
                address=self.range[10 + index],
                pods=IPv4Network((int(self.range[(128 + index) * 256]), 24)),
            )
            for index in range(1, self.node_count + 1)
        )

    @property
    def ingress(self) -> IPv4Address:
        """Where http and https enter: the first node."""
        return self.nodes[0].address
