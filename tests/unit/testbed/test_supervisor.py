from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed import catalog, pki
from testbed.home import Home
from testbed.network import Network
from testbed.supervisor import Testbed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bed(tmp_path: Path) -> Testbed:
    home = Home(cache=tmp_path / "cache", state=tmp_path / "state")
    authority = pki.Authority(home.pki)
    authority.ensure()
    authority.issue(home.pki / "admin", "admin")
    return Testbed(home, Network.plan(3), catalog.load())


def waits_of(bed: Testbed, name: str) -> set[str]:
    return next(set(member._waits_for) for member in bed.members if member.status.name == name)


def test_a_part_of_a_node_waits_for_its_own_node_and_for_the_middle(bed: Testbed) -> None:
    # A kubelet whose containerd has no socket yet ends; that of another node is not its business.
    assert waits_of(bed, "kubelet@node-2") == {"containerd@node-2", "kube-apiserver"}


def test_what_is_in_the_middle_waits_by_name(bed: Testbed) -> None:
    assert waits_of(bed, "kube-apiserver") == {"etcd"}
    assert waits_of(bed, "prometheus") == {"prometheus-operator"}
