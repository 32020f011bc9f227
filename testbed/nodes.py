"""The network inside the testbed: a bridge, and one network namespace a node. Run once, by the supervisor."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import StartError

if TYPE_CHECKING:
    from testbed.network import Network, Node

BRIDGE = "nodes"
COMMAND_TIMEOUT_S = 20
SYSCTLS = {
    "ip_forward": "1",
    # A socket whose process was killed keeps its network namespace alive while it says goodbye to a peer that is dead
    # as well: for two minutes with the kernel's default, which is 8 retries.
    "tcp_orphan_retries": "1",
}


def build(network: Network) -> None:
    """Make the bridge, the nodes' namespaces and the routes between all pods.

    :raises StartError: a command of iproute2 failed.
    """
    _ip(
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {network.control}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    )
    for name, value in SYSCTLS.items():
        Path("/proc/sys/net/ipv4", name).write_text(value, encoding="ascii")
    for node in network.nodes:
        _add(node)
    for node in network.nodes:
        _ip(
            "link set lo up",
            f"addr add {node.address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {network.control}",
            *(f"route add {other.pods} via {other.address}" for other in network.nodes if other is not node),
            namespace=node.name,
        )
    _ip(
        *(f"route add {node.pods} via {node.address}" for node in network.nodes),
        # The machine reaches service addresses too: through the first node, whose kube-proxy knows them.
        f"route add {network.services} via {network.ingress}",
    )


def link(node: Node) -> str:
    """Return the name of a node's cable on the bridge: setting it down cuts the node off."""
    return f"to-{node.name}"


def _add(node: Node) -> None:
    _run(["ip", "netns", "add", node.name])
    _ip(
        f"link add {link(node)} type veth peer name eth0 netns {node.name}",
        f"link set {link(node)} master {BRIDGE} up",
    )
    settings = [f"net.ipv4.{name}={value}" for name, value in SYSCTLS.items()]
    _run(["nsenter", f"--net=/run/netns/{node.name}", "--", "sysctl", "--quiet", *settings])


def _ip(*commands: str, namespace: str | None = None) -> None:
    inside = ["-netns", namespace] if namespace else []
    _run(["ip", *inside, "-batch", "-"], "\n".join(commands))


def _run(command: list[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if done.returncode:
        raise StartError(
            f"the testbed's network could not be made: {' '.join(command)}", found=done.stderr.strip() or text
        )
