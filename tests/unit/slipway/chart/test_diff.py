"""The difference of two manifests names what would change, and lets only what is allowed pass."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from slipway.chart.diff import ObjectId, difference, objects
from slipway.errors import GateError, HelmError

ROLLOUT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "shop"},
    "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app", "image": "shop@sha256:1"}]}}},
}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {"ports": [{"port": 80}]}}
SHOP = ObjectId("argoproj.io", "Rollout", "shop")


def manifest(*documents: object) -> str:
    return yaml.safe_dump_all(documents)


def with_image(image: str) -> dict[str, object]:
    spec = {**ROLLOUT["spec"], "template": {"spec": {"containers": [{"name": "app", "image": image}]}}}  # type: ignore[dict-item]
    return {**ROLLOUT, "spec": spec}


def test_a_new_digest_changes_one_field_of_one_object() -> None:
    found = difference(manifest(ROLLOUT, SERVICE), manifest(SERVICE, with_image("shop@sha256:2")))
    assert list(found.lines()) == [
        "change Rollout shop",
        "  spec.template.spec.containers[0].image: 'shop@sha256:1' -> 'shop@sha256:2'",
    ]
    found.require_only(SHOP)


def test_the_gate_names_everything_else_that_would_change() -> None:
    other = {**SERVICE, "spec": {"ports": [{"port": 81}]}}
    gone = {**SERVICE, "metadata": {"name": "old"}}
    found = difference(manifest(ROLLOUT, SERVICE, gone), manifest(with_image("shop@sha256:2"), other))
    with pytest.raises(GateError) as refused:
        found.require_only(SHOP)
    assert refused.value.found == "Service old, Service shop"


def test_a_new_object_passes_the_gate_because_no_pod_names_it_yet() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop-5f2"}}
    found = difference(manifest(ROLLOUT), manifest(ROLLOUT, config))
    assert list(found.lines()) == ["add ConfigMap shop-5f2"]
    found.require_only(SHOP)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "no YAML"),
        ("kind: Service", "no Kubernetes object"),
        ("- a\n- b", "no Kubernetes object"),
        (manifest(SERVICE, SERVICE), "same object twice"),
    ],
    ids=["yaml", "name", "list", "twice"],
)
def test_what_is_no_manifest_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(HelmError, match=sentence):
        objects(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(before=VALUES, after=VALUES)
def test_two_objects_differ_exactly_when_a_change_is_listed(before: object, after: object) -> None:
    found = difference(manifest({**SERVICE, "spec": before}), manifest({**SERVICE, "spec": after}))
    assert found.is_empty == (before == after)
