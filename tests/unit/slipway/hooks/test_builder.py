"""The builder's commands, and what it makes of a folder; the real builds are in tests/integration/images."""

from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from slipway.errors import BuildError, RegistryError
from slipway.hooks import builder as module
from slipway.hooks.builder import Builder, BuilderKind, BuiltImage, build_command, normalise_folder
from slipway.hooks.process import Completed
from slipway.hooks.source import source_of
from slipway.images.address import RegistryAddress
from slipway.images.facts import DOCKER_MANIFEST, ImageFacts
from slipway.images.source import ImageBuild, Source, source_sha256

BUILD = ImageBuild("backend", Path("app"), build_args={"FAULT_ERROR_RATE": "0.2; rm -rf /"})
SOURCE = Source("a" * 40, datetime(2026, 11, 24, 12, tzinfo=UTC), "c" * 64)
ARGUMENTS = [
    "--build-arg",
    "APP_VERSION=1.0.0",
    "--build-arg",
    "CREATED=2026-11-24T12:00:00Z",
    "--build-arg",
    "FAULT_ERROR_RATE=0.2; rm -rf /",
    "--build-arg",
    f"REVISION={'a' * 40}",
    "--build-arg",
    "SOURCE_DATE_EPOCH=315532800",
    "app",
]


def test_buildah_keeps_the_healthcheck_and_the_time() -> None:
    label = f"dev.slipway.source={source_sha256(BUILD, SOURCE, '1.0.0')}"

    assert build_command(BuilderKind.BUILDAH, BUILD, "1.0.0", SOURCE, "localhost/x") == [
        *("buildah", "build", "--tag", "localhost/x", "--file", "app/Dockerfile.prod"),
        *("--format", "docker", "--layers", "--pull=false", "--timestamp", "315532800", "--no-cache"),
        *("--label", label),
        *ARGUMENTS,
    ]


def test_docker_takes_the_same_arguments() -> None:
    command = build_command(BuilderKind.DOCKER, BUILD, "1.0.0", SOURCE, "localhost/x")

    assert command[:6] == ["docker", "build", "--tag", "localhost/x", "--file", "app/Dockerfile.prod"]
    assert command[6] == "--no-cache"
    assert command[9:] == ARGUMENTS
    assert "--no-cache" not in build_command(BuilderKind.DOCKER, BUILD, "1.0.0", SOURCE, "x", use_cache=True)


def programs(monkeypatch: pytest.MonkeyPatch, *installed: str, code: int = 0) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/bin/{name}" if name in installed else None)
    monkeypatch.setattr(
        module, "run", lambda argv, **_: Completed(tuple(argv), code, "", "" if code == 0 else "no daemon", 0.0)
    )


def test_prefers_what_needs_no_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, "buildah", "docker", "skopeo")

    assert Builder.choose().kind is BuilderKind.BUILDAH
    assert Builder.choose(BuilderKind.DOCKER).kind is BuilderKind.DOCKER


def test_takes_docker_where_there_is_no_buildah(monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, "docker", "skopeo")

    assert Builder.choose().kind is BuilderKind.DOCKER


def test_says_what_each_builder_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch, "docker", "skopeo", code=1)

    with pytest.raises(BuildError) as caught:
        Builder.choose()

    assert str(caught.value) == (
        "no program here can build images\n"
        "  found  buildah: buildah is not installed; docker: no daemon\n"
        "  do     install buildah and skopeo, or start Docker and install skopeo"
    )


def image_folder(folder: Path) -> str:
    """Write an image as skopeo does, and return its configuration's name."""
    config = json.dumps({"container": "random", "config": {"Hostname": "random", "User": "10001"}}).encode()
    sha = hashlib.sha256(config).hexdigest()
    folder.mkdir()
    (folder / sha).write_bytes(config)
    layer = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 10, "digest": "sha256:1"}
    manifest = {
        "mediaType": DOCKER_MANIFEST,
        "config": {"digest": f"sha256:{sha}", "size": len(config)},
        "layers": [layer],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return sha


def test_normalises_an_image_in_its_folder(tmp_path: Path) -> None:
    old = image_folder(tmp_path / "image")

    facts = normalise_folder(tmp_path / "image", "2026-11-24T12:00:00Z", "backend")

    content = (tmp_path / "image/manifest.json").read_bytes()
    config = json.loads(content)["config"]
    written = tmp_path / "image" / config["digest"].removeprefix("sha256:")
    assert facts.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert facts.user == "10001"
    assert hashlib.sha256(written.read_bytes()).hexdigest() == written.name
    assert config["size"] == written.stat().st_size
    assert b"random" not in written.read_bytes()
    assert not (tmp_path / "image" / old).exists()


def test_does_not_go_on_when_the_registry_holds_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = BuiltImage("backend", tmp_path / "image", ImageFacts("sha256:mine", ()), "1.0.0-abc", 1.0)
    seen: list[list[str]] = []

    def pretend(argv: list[str], **_: object) -> Completed:
        seen.append(argv)
        (tmp_path / "image.digest").write_text("sha256:other\n")
        return Completed(tuple(argv), 0, "", "", 0.0)

    monkeypatch.setattr(module, "run", pretend)

    with pytest.raises(RegistryError, match="holds another image than was pushed"):
        Builder(BuilderKind.BUILDAH).push(built, RegistryAddress.parse("http://10.0.0.1:5000/hive"))
    assert seen == [
        [
            *("skopeo", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"),
            f"--digestfile={tmp_path / 'image.digest'}",
            f"dir:{tmp_path / 'image'}",
            "docker://10.0.0.1:5000/hive/backend:1.0.0-abc",
        ]
    ]


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/file").write_text("1")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    return tmp_path


def test_only_what_touches_the_folder_is_another_source(repository: Path) -> None:
    before = source_of(repository / "app")
    (repository / "README.md").write_text("x")
    (repository / "app/cached.pyc").write_text("x")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "Two")

    assert source_of(repository / "app") == before
    assert not before.is_dirty


@pytest.mark.parametrize("change", ["edit", "add", "remove", "chmod", "link"])
def test_what_is_not_committed_is_dirty_and_another_source(repository: Path, change: str) -> None:
    before = source_of(repository / "app")
    file = repository / "app/file"
    match change:
        case "edit":
            file.write_text("2")
        case "add":
            (repository / "app/new").write_text("")
        case "remove":
            (repository / "app/kept").write_text("")
            file.unlink()
        case "chmod":
            file.chmod(0o755)
        case "link":
            file.unlink()
            file.symlink_to("1")

    after = source_of(repository / "app")

    assert after.revision == f"{before.revision}-dirty"
    assert after.content_sha256 != before.content_sha256


def test_says_what_is_missing(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (repository / "new").mkdir()
    (repository / "new/file").write_text("x")
    outside = tmp_path_factory.mktemp("outside")

    for folder, what in (
        (repository / "none", "is not a folder"),
        (repository / "new", "no commit has touched"),
        (outside, "git cannot say"),
    ):
        with pytest.raises(BuildError, match=what):
            source_of(folder)
