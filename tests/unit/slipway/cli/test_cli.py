"""The command line: what it prints, its exit codes, and never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from slipway.cli import exit_code, main
from slipway.errors import ClusterError, FencedError, GateError, RefusedError, SlipwayError, SpecError, VerdictError

ROOT = Path(__file__).parents[4]
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project that can be broken, and let the command line find it."""
    shutil.copytree(ROOT / "include/config", tmp_path / "include/config")
    shutil.copytree(ROOT / "include/releases", tmp_path / "include/releases")
    (tmp_path / "include/charts").symlink_to(ROOT / "include/charts")
    (tmp_path / "include/app").symlink_to(ROOT / "include/app")
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path))
    return tmp_path


def test_validate_says_what_it_checked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """7.1: everything passes the validation, by one command."""
    assert main(["validate"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok  release hive-platform",
        "ok  hive-platform in local",
        "ok  hive-platform in production",
        "ok  hive-platform in staging",
        "ok  production apart from local",
        "ok  production apart from staging",
        "6 checked, 0 refused",
    ]


def test_validate_takes_one_pair(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "hive-platform", "--env", "local"]) == 0
    assert capsys.readouterr().out.endswith("2 checked, 0 refused\n")


def test_validate_prints_every_finding_of_every_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local, spec = project / "include/config/local.yaml", project / "include/releases/hive-platform.yaml"
    local.write_text(local.read_text().replace("retain_s:", "retane_s:").replace("kind: live", "kind: life"))
    spec.write_text(spec.read_text().replace("worker.digest", "worker.digst"))
    assert main(["validate"]) == 2
    out = capsys.readouterr().out
    for words in ("canary.retane_s: unknown key", "meant    retain_s?", "canary.load: not one of the known kinds",
                  "images[0].feeds[1].digest", "ok  production apart from staging"):  # fmt: skip
        assert words in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "hive-plattform"], 'write "hive-platform"'),
        (["validate", "--env", "prod"], "there is no such environment"),
        (["values", "hive-platform", "1.0", "--env", "local", "--digest", f"backend={DIGEST}"], "not a version"),
        (["values", "hive-platform", "1.0.0", "--env", "local", "--digest", "backend=1.0.0"], "a tag can be moved"),
        (["values", "hive-platform", "1.0.0", "--env", "local", "--digest", "backend"], "is not NAME=VALUE"),
        (["values", "hive-platform", "1.0.0", "--env", "local", "--digest", f"a={DIGEST}", "--digest", f"a={DIGEST}"],
         "is named twice"),
        (["values", "hive-platform", "1.0.0", "--env", "local", "--digest", f"backend={DIGEST}"], "no digest is known"),
        (["values", "hive-platform", "1.0.0", "--env", "local"], "--digest"),
        (["config", "guide", "--output", "/proc/nowhere/guide.md"], "cannot be written"),
        (["config", "schema", "nothing"], "nothing"),
        (["nonsense"], "nonsense"),
    ],
)  # fmt: skip
def test_a_refusal_is_a_sentence_and_exit_code_2(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.out + captured.err
    assert "Traceback" not in captured.out + captured.err


def test_values_prints_the_last_layer(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digests = ["--digest", f"backend={DIGEST}", "--digest", f"frontend={DIGEST}"]
    keep = ["--keep", f"worker=registry.testbed.internal:5000/hive-platform/backend@sha256:{'b' * 64}"]
    assert main(["values", "hive-platform", "1.0.0", "--env", "local", *digests, *keep, "--first-install"]) == 0
    layer = yaml.safe_load(capsys.readouterr().out)
    assert layer["backend"] == {
        "image": "registry.testbed.internal:5000/hive-platform/backend", "digest": DIGEST, "version": "1.0.0",
    }  # fmt: skip
    assert layer["worker"]["digest"] == "sha256:" + "b" * 64
    assert layer["firstInstall"] is True


@pytest.mark.parametrize("kind", ["release", "environment"])
def test_the_schema_for_editors_admits_the_project_s_files(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    from jsonschema import Draft202012Validator

    assert main(["config", "schema", kind]) == 0
    check = Draft202012Validator(json.loads(capsys.readouterr().out))
    for path in (ROOT / "include" / {"release": "releases", "environment": "config"}[kind]).glob("*.yaml"):
        assert [error.message for error in check.iter_errors(yaml.safe_load(path.read_text()))] == []


def test_every_kind_of_error_has_its_exit_code() -> None:
    kinds: list[tuple[type[SlipwayError], int]] = [
        (SpecError, 2), (RefusedError, 4), (GateError, 5), (FencedError, 6), (VerdictError, 7), (ClusterError, 1),
    ]  # fmt: skip
    assert [exit_code(kind("x")) for kind, _ in kinds] == [code for _, code in kinds]


def test_it_runs_as_a_module_and_says_its_exit_codes() -> None:
    command = [sys.executable, "-m", "slipway", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    for words in ("validate", "values", "config", "Exit codes", "a gate said no"):
        assert words in done.stdout


def test_help_is_quick_because_nothing_heavy_is_loaded() -> None:
    code = "import sys, slipway.cli as c; c.build(); print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["psycopg", "scipy", "matplotlib", "lightkube", "airflow", "httpx", "jsonschema"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
