"""The pipeline on a small image: real builder, real scanner, real registry."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from slipway.errors import BuildError, GateError, RefusedError
from slipway.hooks.builder import Builder, BuilderKind
from slipway.hooks.images import Pipeline, write_digests
from slipway.hooks.registry import Registry
from slipway.hooks.trivy import Trivy
from slipway.images.address import RegistryAddress
from slipway.images.source import ImageBuild
from slipway.images.vulnerabilities import Policy
from slipway.images.waiver import Waiver
from slipway.names import EnvironmentKind

from tests.integration.images.conftest import commit
from tests.integration.vulnerabilities.building import KNOWN, build_writer, write_database

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTION = Policy(EnvironmentKind.PRODUCTION)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh vulnerability database that knows the small image's packages, and nothing bad of them."""
    folder = tmp_path_factory.mktemp("cache")
    return write_database(build_writer(folder), folder, KNOWN, datetime.now(UTC))


@pytest.fixture
def address(registry: str, tmp_path: Path) -> RegistryAddress:
    prefix = tmp_path.name.lower().replace("_", "-").rstrip("-")
    return RegistryAddress.parse(f"http://{registry}/{prefix}", pull="registry.example.com/hive")


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def pipeline(
    storage: None, cache: Path, address: RegistryAddress, tmp_path: Path, lines: list[str]
) -> Callable[..., Pipeline]:
    def make(policy: Policy = PRODUCTION, *, push: bool = True) -> Pipeline:
        builder, trivy = Builder.choose(BuilderKind.BUILDAH), Trivy(cache=cache)
        return Pipeline(builder, trivy, address, policy, tmp_path / "output", push=push, log=lines.append)

    return make


def small(context: Path) -> ImageBuild:
    return ImageBuild("small", context, max_compressed_mb=1, user="10001")


def test_only_a_digest_comes_out_and_the_registry_holds_it(
    pipeline: Callable[..., Pipeline], context: Path, address: RegistryAddress, tmp_path: Path
) -> None:
    made = pipeline().make(small(context), "1.0.0")

    with Registry(address.host, is_plain_http=True) as registry:
        facts = registry.inspect(address.repository("small"), made.digest)
    assert facts is not None
    assert all(layer.is_compressed for layer in facts.layers)
    assert facts.healthcheck is not None
    assert facts.labels["org.opencontainers.image.revision"] == made.revision
    assert made.reference == f"registry.example.com/hive/small@{made.digest}"
    assert json.loads(Path(made.sbom).read_text())["bomFormat"] == "CycloneDX"

    written = json.loads(write_digests([made], tmp_path / "output").read_text())
    assert written["small"]["digest"] == made.digest
    assert (tmp_path / "output/images.env").read_text() == f"SMALL_IMAGE={made.reference}\n"


def test_one_commit_has_one_digest_on_two_machines(
    pipeline: Callable[..., Pipeline],
    context: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_storage: Callable[[Path], str],
) -> None:
    first = pipeline(push=False).make(small(context), "1.0.0")
    # Another machine has no layer of the first one's, and files of another age.
    for path in context.rglob("*"):
        path.touch()
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", write_storage(tmp_path / "other"))

    assert pipeline(push=False).make(small(context), "1.0.0").digest == first.digest


def test_the_same_source_is_reused_and_says_so(
    pipeline: Callable[..., Pipeline], context: Path, lines: list[str]
) -> None:
    first = pipeline().make(small(context), "1.0.0")
    lines.clear()
    (context.parent / "README.md").write_text("not the image's affair")
    commit(context, "Two")

    second = pipeline().make(small(context), "1.0.0")

    assert lines[0] == f"small: the registry already holds this source as {first.digest}: reused, not built"
    assert (second.was_reused, second.was_pushed, second.digest) == (True, False, first.digest)
    assert second.vulnerabilities == "clean"


@pytest.mark.parametrize("change", ["file", "version", "argument"])
def test_another_source_is_built(pipeline: Callable[..., Pipeline], context: Path, change: str) -> None:
    first = pipeline().make(small(context), "1.0.0")
    build, version = small(context), "1.0.0"
    match change:
        case "file":
            (context / "root/new").write_text("x")
            commit(context, "Two")
        case "version":
            version = "1.0.1"
        case "argument":
            build = replace(build, build_args={"FAULT_ERROR_RATE": "0.2"})

    second = pipeline().make(build, version)

    assert not second.was_reused
    assert second.digest != first.digest


def test_what_a_gate_refuses_never_reaches_the_registry(
    pipeline: Callable[..., Pipeline], context: Path, address: RegistryAddress
) -> None:
    content = (context / "Dockerfile.prod").read_text()
    (context / "Dockerfile.prod").write_text(content.replace("USER 10001\n", "").replace("HEALTHCHECK", "# "))
    commit(context, "Two")

    with pytest.raises(GateError) as caught:
        pipeline().make(small(context), "1.0.0")

    assert caught.value.found == "user: no user, which is root; healthcheck: none"
    assert repositories(address) == []


def test_what_the_scanner_refuses_never_reaches_the_registry(
    pipeline: Callable[..., Pipeline], context: Path, address: RegistryAddress
) -> None:
    with pytest.raises(GateError, match=r"the vulnerability database is .* old"):
        pipeline(Policy(EnvironmentKind.PRODUCTION, max_age=timedelta(0))).make(small(context), "1.0.0")

    assert repositories(address) == []


def test_a_waiver_stands_in_the_log_and_in_what_comes_out(
    pipeline: Callable[..., Pipeline], context: Path, lines: list[str]
) -> None:
    until = datetime.now(UTC).date() + timedelta(days=1)
    policy = Policy(EnvironmentKind.STAGING, max_age=timedelta(0), waiver=Waiver("no mirror here yet", until))

    made = pipeline(policy).make(small(context), "1.0.0")

    assert made.vulnerabilities == f"WAIVED until {until}"
    assert [line for line in lines if line.startswith("WAIVED  small: the vulnerability database is ")]
    assert len(made.events) == 1


def test_production_wants_a_commit(pipeline: Callable[..., Pipeline], context: Path) -> None:
    (context / "root/new").write_text("x")

    with pytest.raises(RefusedError, match="is not committed"):
        pipeline().make(small(context), "1.0.0")
    assert pipeline(Policy(EnvironmentKind.LOCAL)).make(small(context), "1.0.0").revision.endswith("-dirty")


def test_a_build_that_fails_shows_its_last_lines(pipeline: Callable[..., Pipeline], context: Path) -> None:
    (context / "Dockerfile.prod").write_text("FROM scratch\nCOPY no-such-file /\n")
    commit(context, "Two")

    with pytest.raises(BuildError) as caught:
        pipeline().make(small(context), "1.0.0")

    assert "the image small could not be built" in caught.value.what
    assert "no-such-file" in (caught.value.found or "")


def repositories(address: RegistryAddress) -> list[str]:
    names = httpx.get(f"http://{address.host}/v2/_catalog", trust_env=False).json()["repositories"]
    return [name for name in names if name == address.repository("small")]
