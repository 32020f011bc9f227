"""The scanner's hook against a program that stands in for Trivy; the real one is in tests/integration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from slipway.errors import BuildError
from slipway.hooks.trivy import Trivy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def scanner(tmp_path: Path) -> Callable[..., Trivy]:
    def make(script: str, version: str = "0.76.0") -> Trivy:
        program = tmp_path / "trivy"
        program.write_text(f'#!/bin/sh\ncase "$*" in *--version*) echo "Version: {version}"; exit 0;; esac\n{script}\n')
        program.chmod(0o755)
        (tmp_path / "db").mkdir(exist_ok=True)
        (tmp_path / "db/metadata.json").write_text('{"Version": 2, "UpdatedAt": "2026-11-24T12:00:00Z"}')
        return Trivy(program, cache=tmp_path)

    return make


@pytest.mark.parametrize("version", ["0.69.4", "0.69.5", "0.69.6"])
def test_refuses_the_versions_of_a_thief(scanner: Callable[..., Trivy], version: str) -> None:
    with pytest.raises(BuildError) as caught:
        scanner("", version)

    assert caught.value.found == f"version {version}, published by a thief"


def test_a_scan_that_fails_is_evidence_of_that(scanner: Callable[..., Trivy], tmp_path: Path) -> None:
    trivy = scanner('echo "2026-11-24T12:00:00Z FATAL db is broken" >&2; exit 1')

    evidence = trivy.evidence(tmp_path, tmp_path)

    assert evidence.report is None
    assert evidence.failure == "the scan failed: trivy, exit code 1: FATAL db is broken"


@pytest.mark.parametrize("output", ["", "no json", "{}", "[]"])
def test_a_good_exit_with_rubbish_is_no_report(scanner: Callable[..., Trivy], tmp_path: Path, output: str) -> None:
    evidence = scanner(f"echo '{output}'").evidence(tmp_path, tmp_path)

    assert evidence.report is None
    assert evidence.failure


def test_no_database_is_evidence_of_that(scanner: Callable[..., Trivy], tmp_path: Path) -> None:
    trivy = scanner("exit 9")
    trivy.metadata_file.unlink()

    evidence = trivy.evidence(tmp_path, tmp_path)

    assert (evidence.database, evidence.report) == (None, None)
    assert evidence.failure == f"there is no vulnerability database: no {trivy.metadata_file}"


def test_silence_after_no_check_is_an_error(scanner: Callable[..., Trivy], tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        scanner("""echo '{"SchemaVersion": 2, "Results": []}'""").misconfigurations([tmp_path])

    assert caught.value.what == f"no check for misconfigurations ran on {tmp_path}"
    with pytest.raises(BuildError, match="no check for misconfigurations ran"):
        scanner("").misconfigurations([])
