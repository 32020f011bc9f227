"""7.2: no HIGH vulnerability - the real scanner on a real image, with a database of our own.

No public database can be had without the internet, so the database here is written with Trivy's own writer.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from slipway.errors import GateError
from slipway.hooks.trivy import Trivy
from slipway.images.reports import Severity
from slipway.images.vulnerabilities import Judgement, Policy, judge, require
from slipway.images.waiver import Waiver
from slipway.names import EnvironmentKind, EventKind

from tests.integration.vulnerabilities.building import KNOWN, Advisory, build_writer, write_database, write_debian

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime.now(UTC)
PRODUCTION = Policy(EnvironmentKind.PRODUCTION)
HIGH = Advisory("CVE-2026-0001", "debian 12", "openssl", "HIGH", fixed="99.0")
CRITICAL = Advisory("CVE-2026-0002", "pip::advisories", "urllib3", "CRITICAL", vulnerable=("<9",), patched=("9",))
MEDIUM = Advisory("CVE-2026-0003", "debian 12", "openssl", "MEDIUM", fixed="99.0")


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_writer(tmp_path_factory.mktemp("writer"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, write_storage: Callable[[Path], str]) -> dict[str, Path]:
    """Two images as OCI layouts: one with a system and packages, one with a single file and nothing to look up."""
    folder = tmp_path_factory.mktemp("images")
    env = {**os.environ, "BUILDAH_ISOLATION": "chroot", "CONTAINERS_STORAGE_CONF": write_storage(folder / "store")}
    made: dict[str, Path] = {}
    for name in ("debian", "empty"):
        context = folder / name
        context.mkdir()
        if name == "debian":
            write_debian(context)
        else:
            (context / "file").write_text("x")
        (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        made[name] = folder / f"{name}.oci"
        for command in (
            ["buildah", "build", "--quiet", "--tag", f"localhost/{name}", str(context)],
            ["skopeo", "copy", "--quiet", f"containers-storage:localhost/{name}", f"oci:{made[name]}"],
        ):
            subprocess.run(command, env=env, check=True, capture_output=True, timeout=120)
    subprocess.run(["umount", str(folder / "store/graph/overlay")], check=False, capture_output=True)
    return made


@pytest.fixture
def judged(images: dict[str, Path], tmp_path: Path) -> Callable[..., Judgement]:
    def make(cache: Path, policy: Policy = PRODUCTION, image: str = "debian") -> Judgement:
        return judge(image, Trivy(cache=cache).evidence(images[image], tmp_path), policy, NOW)

    return make


def test_clean(writer: Path, tmp_path: Path, judged: Callable[..., Judgement]) -> None:
    judgement = judged(write_database(writer, tmp_path, [*KNOWN, MEDIUM], NOW))

    assert judgement.refusals == ()
    require("debian", judgement)


@pytest.mark.parametrize(
    ("advisory", "finding"),
    [
        (HIGH, "CVE-2026-0001 HIGH openssl 3.0.11-1 -> 99.0"),
        (CRITICAL, "CVE-2026-0002 CRITICAL urllib3 2.5.0 -> 9"),
    ],
)
def test_high_and_critical_are_found(
    writer: Path, tmp_path: Path, judged: Callable[..., Judgement], advisory: Advisory, finding: str
) -> None:
    """7.2: no HIGH vulnerability (Trivy)."""
    judgement = judged(write_database(writer, tmp_path, [*KNOWN, advisory], NOW))

    assert judgement.refusals == (f"1 HIGH or CRITICAL: {finding}",)
    with pytest.raises(GateError, match=finding):
        require("debian", judgement)


def test_an_old_database_says_nothing(writer: Path, tmp_path: Path, judged: Callable[..., Judgement]) -> None:
    updated_at = NOW - timedelta(days=3)

    assert judged(write_database(writer, tmp_path, KNOWN, updated_at)).refusals == (
        f"the vulnerability database is 3.0 days old (of {updated_at:%Y-%m-%d %H:%M} UTC), "
        "at most 2.0 days is admitted",
    )


def test_no_database(tmp_path: Path, judged: Callable[..., Judgement]) -> None:
    assert judged(tmp_path).refusals == (
        "no vulnerability database: there is no vulnerability database: "
        f"no {tmp_path / 'db/metadata.json'}",
    )  # fmt: skip


@pytest.mark.parametrize("damage", ["random", "empty", "truncated", "gone"])
def test_a_corrupted_database(writer: Path, tmp_path: Path, judged: Callable[..., Judgement], damage: str) -> None:
    file = write_database(writer, tmp_path, KNOWN, NOW) / "db/trivy.db"
    match damage:
        case "random":
            file.write_bytes(os.urandom(65536))
        case "empty":
            file.write_bytes(b"")
        case "truncated":
            file.write_bytes(file.read_bytes()[:12288])  # three pages: the tree's root is gone
        case "gone":
            file.unlink()

    judgement = judged(tmp_path)

    assert not judgement.passes
    with pytest.raises(GateError):
        require("debian", judgement)


def test_metadata_that_cannot_be_read(writer: Path, tmp_path: Path, judged: Callable[..., Judgement]) -> None:
    (write_database(writer, tmp_path, KNOWN, NOW) / "db/metadata.json").write_text("{")

    (refusal,) = judged(tmp_path).refusals

    assert refusal.startswith("no vulnerability database: the metadata of the vulnerability database cannot be read")


def test_a_database_that_has_never_heard_of_the_system(
    writer: Path, tmp_path: Path, judged: Callable[..., Judgement]
) -> None:
    """A scan with an empty database finds nothing, and so would pass for clean."""
    assert judged(write_database(writer, tmp_path, [], NOW)).refusals == (
        "the vulnerability database knows nothing of python-pkg, debian 12.5, so its silence says nothing",
    )


def test_an_image_with_nothing_to_look_up(writer: Path, tmp_path: Path, judged: Callable[..., Judgement]) -> None:
    assert judged(write_database(writer, tmp_path, KNOWN, NOW), image="empty").refusals == (
        "the scan found no package in the image, so it says nothing",
    )


def test_a_waiver_is_loud(writer: Path, tmp_path: Path, judged: Callable[..., Judgement]) -> None:
    until = NOW.date() + timedelta(days=3)
    policy = Policy(EnvironmentKind.STAGING, waiver=Waiver("openssl 99 is not released yet", until))

    judgement = judged(write_database(writer, tmp_path, [*KNOWN, HIGH], NOW), policy)

    require("debian", judgement)
    assert [(event.kind, event.text) for event in judgement.events] == [
        (
            EventKind.WAIVED,
            "debian: 1 HIGH or CRITICAL: CVE-2026-0001 HIGH openssl 3.0.11-1 -> 99.0 - "
            f"WAIVED until {until}, because: openssl 99 is not released yet",
        )
    ]


def test_production_admits_no_waiver(writer: Path, tmp_path: Path, judged: Callable[..., Judgement]) -> None:
    policy = Policy(EnvironmentKind.PRODUCTION, waiver=Waiver("it is urgent today", date.max))

    with pytest.raises(GateError, match="production admits no waiver"):
        judged(write_database(writer, tmp_path, KNOWN, NOW), policy)


def test_the_checks_for_misconfigurations_run_without_a_network(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM debian:12\nENV PASSWORD=secret\nUSER root\n")

    report = Trivy(cache=tmp_path / "cache").misconfigurations([file])

    assert report.checks_run > 20
    assert {one.id for one in report.findings if one.severity in (Severity.HIGH, Severity.CRITICAL)} >= {"DS-0002"}


def test_the_list_of_contents_names_the_packages(images: dict[str, Path], tmp_path: Path) -> None:
    import json

    document = json.loads(Trivy(cache=tmp_path).sbom(images["debian"]))

    assert document["bomFormat"] == "CycloneDX"
    assert {one["name"] for one in document["components"]} >= {"openssl", "urllib3", "debian"}
