from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import UsageError
from testbed.network import DEFAULT_RANGE, MAX_NODES, Network

if TYPE_CHECKING:
    from ipaddress import IPv4Network

RANGES = st.tuples(st.integers(1, 223), st.integers(0, 255)).map(lambda pair: f"{pair[0]}.{pair[1]}.0.0/16")
PLANS = st.builds(Network.plan, st.integers(1, MAX_NODES), RANGES)


@given(plan=PLANS)
def test_holds_every_planned_address_in_the_range(plan: Network) -> None:
    single = [plan.control, plan.uplink_machine, plan.uplink_testbed, plan.api_service, plan.dns, plan.ingress]
    single += [node.address for node in plan.nodes]
    networks = [plan.services, plan.pods, *(node.pods for node in plan.nodes)]
    assert all(address in plan.range for address in single)
    assert all(network.subnet_of(plan.range) for network in networks)


@given(plan=PLANS)
def test_gives_no_address_twice(plan: Network) -> None:
    node_addresses = [node.address for node in plan.nodes]
    single = [plan.control, plan.uplink_machine, plan.uplink_testbed, plan.api_service, plan.dns, *node_addresses]
    assert len(set(single)) == len(single)


@given(plan=PLANS)
def test_keeps_pods_services_and_nodes_apart(plan: Network) -> None:
    parts: list[IPv4Network] = [plan.services, *(node.pods for node in plan.nodes)]
    assert not any(one.overlaps(other) for one, other in combinations(parts, 2))
    assert all(node.pods.subnet_of(plan.pods) for node in plan.nodes)
    outside = [plan.control, plan.uplink_machine, plan.uplink_testbed, *(node.address for node in plan.nodes)]
    assert not any(address in part for address in outside for part in (plan.services, plan.pods))
    assert plan.api_service in plan.services
    assert plan.dns in plan.services


@given(plan=PLANS)
def test_names_the_nodes_by_their_number(plan: Network) -> None:
    assert [(node.index, node.name) for node in plan.nodes] == [
        (index, f"node-{index}") for index in range(1, plan.node_count + 1)
    ]
    assert plan.ingress == plan.nodes[0].address


def test_lays_the_default_range_when_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_TESTBED_RANGE", raising=False)
    plan = Network.plan(3)
    assert str(plan.range) == DEFAULT_RANGE
    addresses = [plan.control, plan.uplink_machine, plan.uplink_testbed, plan.api_service, plan.dns, plan.ingress]
    assert list(map(str, addresses)) == [
        "10.200.0.1",
        "10.200.1.1",
        "10.200.1.2",
        "10.200.64.1",
        "10.200.64.10",
        "10.200.0.11",
    ]
    assert (str(plan.services), str(plan.pods)) == ("10.200.64.0/18", "10.200.128.0/17")
    assert [str(node.pods) for node in plan.nodes] == ["10.200.129.0/24", "10.200.130.0/24", "10.200.131.0/24"]


def test_takes_the_range_of_the_environment_unless_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_TESTBED_RANGE", "10.201.0.0/16")
    assert str(Network.plan(1).range) == "10.201.0.0/16"
    assert str(Network.plan(1, "10.202.0.0/16").range) == "10.202.0.0/16"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ten", "Expected 4 octets in 'ten'"),
        ("10.201.0.1/16", "10.201.0.1/16 has host bits set"),
        ("fd00::/16", "Only decimal digits permitted in 'fd00::' in 'fd00::'"),
    ],
)
def test_refuses_a_range_that_is_no_network(monkeypatch: pytest.MonkeyPatch, text: str, found: str) -> None:
    monkeypatch.setenv("SLIPWAY_TESTBED_RANGE", text)
    with pytest.raises(UsageError) as refused:
        Network.plan(3)
    assert str(refused.value) == (
        f"SLIPWAY_TESTBED_RANGE is not an IPv4 network\n  found  {refused.value.found}\n"
        "  do     set it like 10.201.0.0/16"
    )
    assert refused.value.found in (found, f"Expected 4 octets in {text.split('/')[0]!r}")


@given(prefix=st.integers(0, 32).filter(lambda length: length != 16))
def test_refuses_a_range_of_another_size(prefix: int) -> None:
    text = f"0.0.0.0/{prefix}"
    with pytest.raises(UsageError) as refused:
        Network.plan(3, text)
    assert str(refused.value) == (
        f"SLIPWAY_TESTBED_RANGE has the wrong size\n  found  {text}\n  do     set a /16, like 10.201.0.0/16"
    )


@given(count=st.integers().filter(lambda number: not 1 <= number <= MAX_NODES))
def test_refuses_a_number_of_nodes_out_of_bounds(count: int) -> None:
    with pytest.raises(UsageError) as refused:
        Network.plan(count, DEFAULT_RANGE)
    assert str(refused.value) == (
        f"a testbed has 1 to 9 nodes\n  found  --nodes {count}\n  do     --nodes 3 is the default"
    )
