"""What an image is made from, and what of its configuration is only the builder's."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.errors import SpecError
from slipway.images.dockerfile import final_base, stages
from slipway.images.normal import normalised
from slipway.images.source import ImageBuild, Source, content_sha256, source_sha256, tag_for
from slipway.spec.version import MAX_LENGTH

BUILD = ImageBuild("backend", Path("app"))
SOURCE = Source("a" * 40, datetime(2026, 11, 24, tzinfo=UTC), "c" * 64)
FILES = st.lists(st.tuples(st.text(), st.sampled_from(["file", "program"]), st.binary()), unique_by=lambda one: one[0])


@given(FILES, st.randoms())
def test_order_of_files_does_not_matter(files: list[tuple[str, str, bytes]], random: object) -> None:
    shuffled = list(files)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert content_sha256(shuffled) == content_sha256(files)


def test_every_part_of_a_file_matters() -> None:
    variants = [
        [("a", "file", b"bc")],
        [("ab", "file", b"c")],
        [("a", "program", b"bc")],
        [("a", "link", b"bc")],
        [("a", "file", b"b"), ("c", "file", b"")],
        [],
    ]

    assert len({content_sha256(files) for files in variants}) == len(variants)


def test_every_input_of_an_image_matters() -> None:
    hashes = {
        source_sha256(BUILD, SOURCE, "1.0.0"),
        source_sha256(BUILD, SOURCE, "1.0.1"),
        source_sha256(BUILD, replace(SOURCE, revision="b" * 40), "1.0.0"),
        source_sha256(BUILD, replace(SOURCE, content_sha256="d" * 64), "1.0.0"),
        source_sha256(replace(BUILD, build_args={"FAULT_ERROR_RATE": "0.2"}), SOURCE, "1.0.0"),
        source_sha256(replace(BUILD, dockerfile="Dockerfile"), SOURCE, "1.0.0"),
        source_sha256(replace(BUILD, name="other"), SOURCE, "1.0.0"),
    }

    assert len(hashes) == 7
    assert source_sha256(replace(BUILD, max_compressed_mb=1), SOURCE, "1.0.0") in hashes


def test_a_tag_names_version_and_source() -> None:
    assert tag_for("1.0.0-rc.1", "0123456789abcdef") == "1.0.0-rc.1-0123456789ab"


def test_every_version_that_may_be_released_makes_a_tag_that_a_registry_takes() -> None:
    longest = "999999999.999999999.999999999-" + "a" * (MAX_LENGTH - 30)
    assert len(longest) == MAX_LENGTH
    assert len(tag_for(longest, "0" * 64)) <= 128


@pytest.mark.parametrize("version", ["", "1.0", "v1.0.0", "1.0.0 ", "1.0.0\n", "1.0.0+b7", "latest", "../1.0.0"])
def test_refuses_what_is_not_a_version(version: str) -> None:
    with pytest.raises(SpecError, match="not a version"):
        tag_for(version, "0" * 64)


@pytest.mark.parametrize("name", ["", "Backend", "a/b", "-a", "a b", "a:b"])
def test_refuses_a_name_that_no_registry_takes(name: str) -> None:
    with pytest.raises(SpecError, match="not one that a registry takes"):
        ImageBuild(name, Path("app"))


def test_refuses_build_arguments_that_are_its_own() -> None:
    with pytest.raises(SpecError) as caught:
        ImageBuild("backend", Path("app"), build_args={"REVISION": "x", "APP_VERSION": "y", "OTHER": "z"})

    assert caught.value.found == "APP_VERSION, REVISION"


def test_two_machines_give_one_configuration() -> None:
    def built_on(machine: str) -> bytes:
        return json.dumps(
            {
                "created": "1980-01-01T00:00:00Z",
                "container": machine,
                "container_config": {"Hostname": machine},
                "parent": f"sha256:{machine}",
                "config": {
                    "Hostname": machine,
                    "Image": machine,
                    "User": "10001",
                    "Healthcheck": {"Test": ["CMD", "x"]},
                },
                "rootfs": {"diff_ids": ["sha256:1"]},
                "history": [
                    {"created": "2026-01-01T00:00:00Z", "created_by": "the base", "comment": "FROM scratch"},
                    {"created": "1980-01-01T00:00:00Z", "created_by": "RUN x", "comment": f"FROM {machine}"},
                ],
            }
        ).encode()

    one = normalised(built_on("f7208815a1f3"), "2026-11-24T12:00:00Z")

    assert one == normalised(built_on("7f0bcb66cb76"), "2026-11-24T12:00:00Z")
    assert json.loads(one) == {
        "created": "2026-11-24T12:00:00Z",
        "config": {"User": "10001", "Healthcheck": {"Test": ["CMD", "x"]}},
        "rootfs": {"diff_ids": ["sha256:1"]},
        "history": [
            {"created": "2026-01-01T00:00:00Z", "created_by": "the base", "comment": "FROM scratch"},
            {"created": "2026-11-24T12:00:00Z", "created_by": "RUN x"},
        ],
    }


@pytest.mark.parametrize(
    ("content", "base"),
    [
        ("FROM python:3.11", "python:3.11"),
        ("# FROM no\nFROM a AS build\nRUN x\nfrom --platform=linux/amd64 b:1\n", "b:1"),
        ("FROM a AS first\nFROM First AS second\nFROM second", "a"),
    ],
)
def test_finds_what_the_last_stage_stands_on(content: str, base: str) -> None:
    assert final_base(content, "Dockerfile") == base


def test_counts_stages_and_refuses_none() -> None:
    assert stages("FROM a AS b\nFROM c\n") == 2
    with pytest.raises(SpecError, match="Dockerfile has no FROM"):
        final_base("RUN x", "Dockerfile")
