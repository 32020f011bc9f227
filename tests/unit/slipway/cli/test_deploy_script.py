"""scripts/deploy/deploy_k8s.sh with programs that only write down how they are called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[4]
SCRIPT = ROOT / "scripts/deploy/deploy_k8s.sh"
DIGEST = "sha256:" + "a" * 64
GOOD = ["hive-platform", "--env", "local", "--version", "1.0.0", "--digest", f"backend={DIGEST}"]
GOOD += ["--digest", f"frontend={DIGEST}"]

HELM = """#!/bin/sh
[ "$1" = version ] && { echo "${HELM_VERSION:-v3.19.0}"; exit; }
printf '%s\\n' "$@" >"$CALLS/helm"
for argument; do case "$argument" in */last.yaml) cp "$argument" "$CALLS/last.yaml";; esac; done
"""
KUBECTL = """#!/bin/sh
case "$*" in
  *"get secret"*) printf '%s\\n' $SECRET_KEYS ;;
  *"get rollout"*) [ -f "$CALLS/looked" ] && echo "$SECOND" || echo "$FIRST"; : >"$CALLS/looked" ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name, text in (("helm", HELM), ("kubectl", KUBECTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run(programs: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(programs), "SLIPWAY_PYTHON": sys.executable,
        "SECRET_KEYS": "APP_DATABASE_PASSWORD", "FIRST": "1 1 Paused CanaryPauseStep", **variables,
    }  # fmt: skip
    return subprocess.run(
        [str(SCRIPT), *arguments], capture_output=True, text=True, timeout=120, check=False, env=environment
    )


def test_a_dry_run_prints_command_and_values_and_touches_nothing(programs: Path) -> None:
    done = run(programs, *GOOD, "--dry-run")
    assert done.returncode == 0, done.stderr
    command, _, layer = done.stdout.partition("\n---\n")
    for words in ("upgrade --install hive-platform", "--namespace hive-local", "values-local.yaml", "--timeout 120s"):
        assert words in command
    assert "--wait" not in command
    assert yaml.safe_load(layer)["backend"]["digest"] == DIGEST
    assert not (programs / "helm").read_text().startswith("upgrade")
    assert (programs / "helm").read_text() == HELM, "helm was asked for its version alone"


def test_it_deploys_the_layers_of_the_dag_and_shows_the_rollout(programs: Path) -> None:
    (programs / "bin").mkdir()
    done = run(programs, *GOOD, CALLS=str(programs / "bin"))
    assert done.returncode == 0, done.stderr
    assert "hive-platform-backend: Paused CanaryPauseStep" in done.stdout
    called = (programs / "bin/helm").read_text().splitlines()
    assert called[called.index("upgrade") : called.index("upgrade") + 3] == ["upgrade", "--install", "hive-platform"]
    files = [called[index + 1] for index, word in enumerate(called) if word == "--values"]
    expected = ["values-local.yaml", "values-demo.yaml", "last.yaml"]
    assert [Path(file).name for file in files] == expected, "the DAG's layers, in order"
    assert "--server-side=false" not in called
    layer = yaml.safe_load((programs / "bin/last.yaml").read_text())
    assert layer["worker"] == {
        "image": "registry.testbed.internal:5000/hive-platform/backend", "digest": DIGEST, "version": "1.0.0",
    }  # fmt: skip


def test_helm_4_is_told_to_merge_three_ways(programs: Path) -> None:
    done = run(programs, *GOOD, "--dry-run", HELM_VERSION="v4.0.1")
    assert "--server-side=false" in done.stdout


def test_an_old_generation_s_phase_is_not_taken_for_the_new_one_s(programs: Path) -> None:
    (programs / "bin").mkdir()
    done = run(programs, *GOOD, CALLS=str(programs / "bin"), FIRST="2 1 Healthy", SECOND="2 2 Degraded timed out")
    assert done.returncode == 1
    assert done.stdout == "hive-platform-backend: Degraded timed out\n"


def test_a_rollout_that_does_not_come_is_an_error_with_the_next_command(programs: Path) -> None:
    (programs / "bin").mkdir()
    done = run(
        programs,
        *GOOD,
        "--timeout",
        "1",
        CALLS=str(programs / "bin"),
        FIRST="1 1 Progressing",
        SECOND="1 1 Progressing",
    )
    assert done.returncode == 1
    assert (
        "neither Healthy nor Paused after 1 s\n  do     kubectl --namespace hive-local describe rollout" in done.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        ([*GOOD[:5], "--digest", "backend=1.0.0"], {}, "a tag can be moved"),
        (GOOD, {"SECRET_KEYS": "OTHER"}, "hive-platform-secrets: the key APP_DATABASE_PASSWORD is missing"),
        (GOOD, {"SECRET_KEYS": ""}, "the key APP_DATABASE_PASSWORD is missing"),
        ([], {}, "no application is named"),
        (["hive-platform"], {}, "--env is missing"),
        (["hive-platform", "--env", "local"], {}, "--version is missing"),
        ([*GOOD, "other"], {}, "a second application"),
        ([*GOOD, "--force"], {}, "--force: unknown option"),
        ([*GOOD, "--timeout", "soon"], {}, "not a number of seconds"),
        ([*GOOD, "--digest"], {}, "its value is missing"),
        (["hive-platform", "--env", "prod", *GOOD[3:]], {}, "there is no such environment"),
        (["hive-platform", "--env", "production", *GOOD[3:]], {}, "SLIPWAY_PRODUCTION_KUBECONFIG is not set"),
        (["hive-platform", "--env", "$(touch x)", *GOOD[3:]], {}, "there is no such environment"),
    ],
)  # fmt: skip
def test_it_refuses_before_anything_is_touched(
    programs: Path, arguments: list[str], variables: dict[str, str], words: str
) -> None:
    """7.1: tags and missing secrets are refused by hand as by the DAG."""
    done = run(programs, *arguments, **variables)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert (programs / "helm").read_text() == HELM, "no upgrade"
    assert not (ROOT / "x").exists()


def test_help_is_the_comment_at_its_top(programs: Path) -> None:
    done = run(programs, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Deploy by hand what the release's DAG deploys")
    assert "Exit codes: 0 Healthy or Paused" in done.stdout
