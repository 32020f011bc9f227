"""Story 7.2 on the application's own images: built from the committed Dockerfiles, run as a strict cluster would.

The base images are stand-ins where the public ones cannot be pulled; sizes are those on the stand-ins.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from slipway.hooks.builder import Builder, BuilderKind, BuiltImage
from slipway.hooks.source import source_of
from slipway.hooks.trivy import Trivy
from slipway.images import gates
from slipway.images.dockerfile import final_base, stages
from slipway.images.plan import builds_of
from slipway.images.reports import Severity
from slipway.spec.release import load_release

from tests.integration.images.containers import Container

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from slipway.images.source import ImageBuild

ROOT = Path(__file__).parents[3]
BUILDS = {one.name: one for one in builds_of(load_release(ROOT / "include/releases/hive-platform.yaml"), ROOT)}
NAMES = ("backend", "frontend")
VERSION = "1.0.0"
MB_OF_THE_STORY = {"backend": 500, "frontend": 50}
WITHIN_S = 60.0


class Made(NamedTuple):
    """A built image, its unpacked root, and the configuration to run it."""

    build: ImageBuild
    built: BuiltImage
    revision: str
    root: Path
    config: Mapping[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Made]]:
    """Both images. The builder's own store has the bases, so it is used, and our containers are removed from it."""
    folder = tmp_path_factory.mktemp("built")
    builder = Builder.choose(BuilderKind.BUILDAH)
    env = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
    result: dict[str, Made] = {}
    containers: list[str] = []
    try:
        for name in NAMES:
            build = BUILDS[name]
            source = source_of(build.context)
            built = builder.build(build, VERSION, source, folder, use_cache=True)
            container = _buildah(env, "from", "--pull-never", f"localhost/slipway/{name}:{built.tag}")
            containers.append(container)
            root = Path(_buildah(env, "mount", container))
            result[name] = Made(build, built, source.revision, root, _config(built.folder))
        yield result
    finally:
        for container in containers:
            _buildah(env, "rm", container)


def _buildah(env: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], env=env, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def _config(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / "manifest.json").read_text())
    content = json.loads((folder / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    inner: dict[str, Any] = content["config"]
    return inner


@pytest.mark.parametrize("name", NAMES)
def test_dockerfiles_have_several_stages_and_the_named_base(name: str) -> None:
    """7.2: backend Dockerfile.prod is multi-stage; frontend Dockerfile.prod stands on nginx alpine."""
    path = BUILDS[name].context / "Dockerfile.prod"
    content = path.read_text(encoding="utf-8")

    assert stages(content) >= 2
    base = final_base(content, str(path))
    assert ("python:3.11-slim" if name == "backend" else "nginx") in base
    assert name == "backend" or base.endswith("-alpine")


@pytest.mark.parametrize("name", NAMES)
def test_images_pass_every_gate_below_the_size_of_the_story(made: dict[str, Made], name: str) -> None:
    """7.2: image size < 500 MB (backend), < 50 MB (frontend); not root; a healthcheck; OCI labels."""
    one = made[name]
    base = final_base((one.build.context / one.build.dockerfile).read_text(), name)

    limits = gates.Limits(MB_OF_THE_STORY[name], VERSION, one.revision, base, one.build.user)

    assert gates.refusals(one.built.facts, limits) == ()
    assert all((one.built.folder / layer.digest.removeprefix("sha256:")).stat().st_size == layer.size
               for layer in one.built.facts.layers)  # fmt: skip


def test_backend_answers_its_healthcheck_without_root_on_a_read_only_root(
    made: dict[str, Made], tmp_path: Path
) -> None:
    """7.2: the healthcheck answers; the process is not root."""
    env = {
        "APP_ENVIRONMENT": "development",
        "APP_HOST": "127.0.0.1",
        "APP_PORT": str(_free_port()),
        "APP_METRICS_PORT": str(_free_port()),
        "APP_DATABASE_URL": "postgresql+psycopg://hive@127.0.0.1:1/none",
        "APP_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    with Container(tmp_path, made["backend"].root, made["backend"].config, env) as container:
        _eventually(lambda: container.healthcheck() == 0, container)
        identity = container.run("id", "-u").stdout.strip()
        refused = container.run("sh", "-c", "touch /srv/app/x /opt/venv/x 2>&1; touch /tmp/x && echo tmp")

    assert identity == "10001"
    assert refused.stdout.count("Read-only file system") == 2
    assert refused.stdout.endswith("tmp\n")


def test_backend_is_unhealthy_when_nothing_listens(made: dict[str, Made], tmp_path: Path) -> None:
    config = {**made["backend"].config, "Cmd": ["sleep", "60"]}
    env = {"APP_PORT": str(_free_port()), "APP_METRICS_PORT": str(_free_port())}

    with Container(tmp_path, made["backend"].root, config, env) as container:
        assert container.healthcheck() == 1


def test_frontend_answers_its_healthcheck_without_root_on_a_read_only_root(
    made: dict[str, Made], tmp_path: Path
) -> None:
    """7.2: the healthcheck answers; the process is not root."""
    with Container(tmp_path, made["frontend"].root, made["frontend"].config, {}) as container:
        _eventually(lambda: container.healthcheck() == 0, container)
        assert container.run("id", "-u").stdout.strip() == "101"
        page = container.run("wget", "-q", "-O", "-", "http://127.0.0.1:8080/").stdout

    assert VERSION in page


def test_bytecode_in_the_backend_is_up_to_date(made: dict[str, Made], tmp_path: Path) -> None:
    """Bytecode remembers its source's time. Were it another, each start would compile everything anew, in vain."""
    script = (
        "import importlib.util, pathlib, struct, sys\n"
        "stale = total = 0\n"
        "for source in [*pathlib.Path('/srv/app').rglob('*.py'), *pathlib.Path('/opt/venv/lib').rglob('*.py')]:\n"
        "    compiled = pathlib.Path(importlib.util.cache_from_source(str(source)))\n"
        "    if compiled.exists():\n"
        "        flags, time = struct.unpack('<II', compiled.read_bytes()[4:12])\n"
        "        total += 1\n"
        "        stale += flags == 0 and time != int(source.stat().st_mtime)\n"
        "print(total > 500, stale)\n"
    )
    config = {**made["backend"].config, "Cmd": ["sleep", "60"]}
    with Container(tmp_path, made["backend"].root, config, {}) as container:
        assert container.run("python", "-c", script).stdout == "True 0\n"


def test_dockerfiles_have_no_bad_misconfiguration(tmp_path: Path) -> None:
    """7.2: the scan for misconfigurations (Trivy) finds nothing HIGH or CRITICAL."""
    report = Trivy(cache=tmp_path).misconfigurations([BUILDS[name].context / "Dockerfile.prod" for name in NAMES])

    assert report.checks_run >= 40
    assert [str(one) for one in report.findings if one.severity in (Severity.HIGH, Severity.CRITICAL)] == []


def test_the_chart_has_no_bad_misconfiguration(tmp_path: Path) -> None:
    """7.2: the same of the objects that the chart renders."""
    helm = shutil.which("helm") or str(Path.home() / ".cache/slipway/testbed/bin/helm")
    chart = ROOT / "include/charts/hive-platform"
    command = [helm, "template", "hive-platform", str(chart), "--values", str(chart / "values-local.yaml")]
    for component in ("backend", "worker", "beat", "frontend"):
        command += ["--set", f"{component}.digest=sha256:{'0' * 64}"]
    rendered = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert rendered.returncode == 0, rendered.stderr
    (tmp_path / "objects.yaml").write_text(rendered.stdout)

    report = Trivy(cache=tmp_path / "cache").misconfigurations([tmp_path / "objects.yaml"])

    assert report.checks_run >= 50
    assert [str(one) for one in report.findings if one.severity in (Severity.HIGH, Severity.CRITICAL)] == []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _eventually(holds: Callable[[], bool], container: Container) -> None:
    give_up = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < give_up, container.output
        time.sleep(0.2)
