"""The gates on an image, each with what passes and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from slipway.errors import GateError
from slipway.images.facts import Healthcheck, ImageFacts, Layer
from slipway.images.gates import Limits, refusals, require

REVISION = "a" * 40
BASE = "docker.io/library/python:3.11-slim-bookworm"
LIMITS = Limits(500, "1.0.0", REVISION, BASE, "10001")
GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
LABELS = {
    "org.opencontainers.image.title": "backend",
    "org.opencontainers.image.version": "1.0.0",
    "org.opencontainers.image.revision": REVISION,
    "org.opencontainers.image.created": "2026-11-24T12:00:00Z",
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.base.name": BASE,
}
GOOD = ImageFacts(
    digest="sha256:0",
    layers=(Layer(GZIP, 499_000_000, "sha256:1"), Layer(GZIP, 999_999, "sha256:2")),
    user="10001:10001",
    healthcheck=Healthcheck(("CMD", "true")),
    labels=LABELS,
)


def test_lets_a_good_image_pass() -> None:
    assert refusals(GOOD, LIMITS) == ()


def test_the_limit_itself_is_too_much() -> None:
    at_limit = replace(GOOD, layers=(Layer(GZIP, 500_000_000, "sha256:1"),))

    assert [(one.gate, one.found) for one in refusals(at_limit, LIMITS)] == [
        ("size", "500.0 MB compressed, the limit is 500 MB")
    ]


def test_does_not_take_the_size_of_plain_layers_for_compressed() -> None:
    plain = replace(GOOD, layers=(Layer(GZIP.removesuffix(".gzip"), 10, "sha256:1"), *GOOD.layers))

    assert [one.found for one in refusals(plain, LIMITS)] == [
        "1 of 3 layers are not compressed, so their sum says nothing"
    ]


def test_zstd_is_compressed_and_no_layer_is_no_image() -> None:
    zstd = Layer("application/vnd.oci.image.layer.v1.tar+zstd", 10, "sha256:1")

    assert refusals(replace(GOOD, layers=(zstd,)), LIMITS) == ()
    assert [one.found for one in refusals(replace(GOOD, layers=()), LIMITS)] == ["no layers"]


@pytest.mark.parametrize(
    ("user", "found"),
    [
        ("", "no user, which is root"),
        ("0", "user 0, which is root"),
        ("00:10001", "user 00:10001, which is root"),
        ("root", "user 'root'"),
        ("app", "user 'app'"),
        ("101:101", "user 101:101, the release says 10001"),
    ],
)
def test_refuses_root_names_and_another_user(user: str, found: str) -> None:
    assert [(one.gate, one.found) for one in refusals(replace(GOOD, user=user), LIMITS)] == [("user", found)]


def test_any_number_but_root_will_do_where_the_release_names_none() -> None:
    assert refusals(replace(GOOD, user="65534"), replace(LIMITS, user=None)) == ()


def test_says_why_a_healthcheck_is_missing() -> None:
    docker = refusals(replace(GOOD, healthcheck=None), LIMITS)
    oci = refusals(replace(GOOD, healthcheck=None, has_docker_format=False), LIMITS)

    assert [one.found for one in (*docker, *oci)] == ["none", "none: OCI's format drops HEALTHCHECK"]
    assert oci[0].mend == "build with Docker's format: --format docker"


@pytest.mark.parametrize("value", [None, "", "unknown", "1970-01-01T00:00:00Z"])
@pytest.mark.parametrize("label", sorted(LABELS))
def test_a_placeholder_names_nothing(label: str, value: str | None) -> None:
    labels = {key: one for key, one in LABELS.items() if key != label}
    if value is not None:
        labels[label] = value

    assert [one.found for one in refusals(replace(GOOD, labels=labels), LIMITS)] == [f"without {label}"]


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ("org.opencontainers.image.version", "1.0.0"),
        ("org.opencontainers.image.revision", REVISION),
        ("org.opencontainers.image.base.name", BASE),
    ],
)
def test_labels_that_say_something_else_are_refused(label: str, wanted: str) -> None:
    found = refusals(replace(GOOD, labels={**LABELS, label: "other"}), LIMITS)

    assert [one.found for one in found] == [f"{label} is other, wanted {wanted}"]


def test_says_all_that_is_wrong_at_once() -> None:
    with pytest.raises(GateError) as caught:
        require("backend", replace(GOOD, user="", healthcheck=None), LIMITS)

    assert str(caught.value) == (
        "the image backend does not pass 2 gates\n"
        "  found  user: no user, which is root; healthcheck: none\n"
        "  do     end the Dockerfile's last stage with a numeric USER, for example 10001:10001; "
        "add a HEALTHCHECK to the Dockerfile's last stage"
    )
