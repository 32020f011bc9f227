"""scripts/deploy/deploy_k8s.sh on the testbed, in an environment of its own: the last resort when no DAG can deploy."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from tests.e2e.application import RELEASE, ROOT, SECRET, Application, build_images
from tests.e2e.cluster import HOME, environment_of_build, eventually, kubectl, testbed, visit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = ROOT / "scripts/deploy/deploy_k8s.sh"
REDIS = 8
VERSION = "1.0.0"
PARTS = ("backend", "frontend")


class Site(NamedTuple):
    """Where the script deploys to.

    :param home: a project's folder with an environment that is named like the namespace.
    :param digests: of the images, by part.
    """

    application: Application
    home: Path
    digests: dict[str, str]

    def deploy(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run the script as an operator does."""
        digests = [word for part, digest in self.digests.items() for word in ("--digest", f"{part}={digest}")]
        environment = {
            **os.environ, "PATH": f"{HOME.bin}:{os.environ['PATH']}", "SLIPWAY_PYTHON": sys.executable,
            "SLIPWAY_HOME": str(self.home),
        }  # fmt: skip
        command = [str(SCRIPT), "hive-platform", "--env", self.application.namespace, "--version", VERSION]
        return subprocess.run(
            [*command, *digests, "--timeout", "60", *more],
            env=environment, text=True, capture_output=True, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def site(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    application = Application(namespace, REDIS)
    application.create_database()
    build_images(VERSION)
    home = _project(tmp_path_factory.mktemp("project"), application)
    yield Site(application, home, {part: _pushed(part) for part in PARTS})
    application.helm("uninstall", RELEASE, "--ignore-not-found")
    application.drop_database()


def _project(folder: Path, application: Application) -> Path:
    """Make a folder that differs from the project's by one environment: local's, elsewhere."""
    (folder / "include/config").mkdir(parents=True)
    for name in ("app", "charts", "releases"):
        (folder / "include" / name).symlink_to(ROOT / "include" / name)
    wanted = yaml.safe_load((ROOT / "include/config/local.yaml").read_text(encoding="utf-8"))
    name, host = application.namespace, f"{application.namespace}.testbed.internal"
    wanted["name"] = wanted["cluster"]["namespace"] = name
    wanted["network"]["addresses"][host] = wanted["network"]["addresses"].pop("hive.testbed.internal")
    own = wanted["applications"]["hive-platform"]
    own["url"] = f"https://{host}"
    own["values"] = ["include/charts/hive-platform/values-local.yaml"]
    own["database"]["name"] = application.database
    for group, settings in application.settings().items():
        own["settings"].setdefault(group, {}).update(settings)
    (folder / f"include/config/{name}.yaml").write_text(yaml.safe_dump(wanted), encoding="utf-8")
    return folder


def _pushed(part: str) -> str:
    """Push an image under the name that a release gives it, and return its digest."""
    name = f"localhost/hive-platform/{part}:by-hand"
    command = ["buildah", "tag", f"localhost/slipway-e2e/{part}:{VERSION}", name]
    subprocess.run(command, env=environment_of_build(), check=True, capture_output=True, timeout=60)
    pushed = testbed("push", name)
    assert pushed.returncode == 0, pushed.stderr
    return pushed.stdout.strip().partition("@")[2]


def test_a_missing_secret_is_refused_before_anything_is_touched(site: Site) -> None:
    """7.3 (bad input): the operator is told which key of which Secret, and how to make it."""
    done = site.deploy()
    assert done.returncode == 2, done.stdout + done.stderr
    name = site.application.namespace
    assert f"Secret {name}/{SECRET}: the key APP_DATABASE_PASSWORD is missing" in done.stderr
    assert f"kubectl --namespace {name} create secret generic {SECRET}" in done.stderr
    assert site.application.helm("list", "--all", "--short").strip() == ""


def test_it_installs_at_no_pods_and_then_shows_the_rollout_until_it_is_healthy(site: Site) -> None:
    """7.3: deployed in a test environment and verified, by hand."""
    application = site.application
    kubectl(
        "create", "secret", "generic", SECRET, f"--namespace={application.namespace}",
        f"--from-literal=APP_DATABASE_PASSWORD={application.password}",
    )  # fmt: skip
    first = site.deploy("--first-install")
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"{RELEASE}-backend: Paused" in first.stdout
    assert application.pods("backend") == [], "no pod of the API before its schema"
    shown = site.deploy("--dry-run")
    application.migrate(yaml.safe_load(shown.stdout.partition("\n---\n")[2]))
    second = site.deploy()
    assert second.returncode == 0, second.stdout + second.stderr
    assert second.stdout.splitlines()[-1].startswith(f"{RELEASE}-backend: Healthy"), second.stdout
    answer = eventually("the API", lambda: _version(application), within_s=10)
    assert answer == VERSION
    assert application.password not in first.stdout + first.stderr + second.stdout + second.stderr


def _version(application: Application) -> str | None:
    answer = visit(application.namespace, "/api/v1/version")
    return str(answer.json()["version"]) if answer.status_code == 200 else None
