from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from testbed.build import go, manifests, program_image, stand_in
from testbed.catalog import Catalog
from testbed.home import Home
from testbed.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAKE_GO = """#!/bin/sh
echo "$GOFLAGS|$GOWORK|$CGO_ENABLED|$*" >>{log}
for last; do :; done
case "$1" in
install)
    name=${{last%/v[0-9]}}; name=${{name##*/}}
    if [ -e {knobs}/kill ] && [ "$(cat {knobs}/kill)" = "$name" ]; then
        echo half >"$GOBIN/$name"; kill -9 $PPID; sleep 5
    fi
    if [ -e {knobs}/fail-$name ]; then cat {knobs}/fail-$name >&2; exit 1; fi
    if [ -e {knobs}/other-$name ]; then name=other; fi
    echo "$name $(cat main.go 2>/dev/null)" >"$GOBIN/$name" ;;
list) cat {knobs}/dir ;;
mod) echo {knobs}/source >{knobs}/dir; mkdir -p {knobs}/source ;;
esac
"""


class Tools:
    """Programs on PATH that are small scripts; each keeps what it was called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tools"
        self.knobs = folder / "knobs"
        self.log = folder / "log"
        self.folder.mkdir()
        self.knobs.mkdir()
        self.add("go", FAKE_GO.format(log=self.log, knobs=self.knobs))

    def add(self, name: str, script: str) -> Path:
        path = self.folder / name
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)
        return path

    def knob(self, name: str, text: str = "") -> Path:
        path = self.knobs / name
        path.write_text(text, encoding="utf-8")
        return path

    def calls(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools(tmp_path)
    monkeypatch.setenv("PATH", f"{made.folder}:/usr/bin:/bin")
    return made


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.delenv("SLIPWAY_TESTBED_RANGE", raising=False)
    return Network.plan(1)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200, force_terminal=False)


@pytest.fixture
def said(console: Console) -> Callable[[], list[str]]:
    def lines() -> list[str]:
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue().splitlines()

    return lines


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two Go modules, one image folder and one add-on, in place of the repository's."""
    root = tmp_path / "source"
    for module in ("one", "two"):
        folder = root / "go" / module
        folder.mkdir(parents=True)
        (folder / "go.mod").write_text(f"module {module}\n", encoding="utf-8")
        (folder / "go.sum").write_text("", encoding="utf-8")
        (folder / "main.go").write_text(f"package {module}\n", encoding="utf-8")
    (root / "images" / "base").mkdir(parents=True)
    (root / "images" / "base" / "Containerfile").write_text("FROM scratch\n", encoding="utf-8")
    bundle = root / "ca.crt"
    bundle.write_text("authorities\n", encoding="utf-8")
    monkeypatch.setattr(go, "MODULES", root / "go")
    monkeypatch.setattr(stand_in, "IMAGES", root / "images")
    monkeypatch.setattr(manifests, "ADDONS", root / "addons")
    monkeypatch.setattr(program_image, "CA_BUNDLE", bundle)
    return root


@pytest.fixture
def catalog(source: Path) -> Catalog:
    return Catalog.model_validate(
        {
            "components": [
                {
                    "name": "api",
                    "about": "an API",
                    "version": "v1.34.4",
                    "source": {"go": "one", "package": "k8s.io/kubernetes/cmd/api"},
                    "image": {"name": "registry.k8s.io/api:v1", "user": "999"},
                },
                {
                    "name": "helper",
                    "about": "a helper",
                    "version": "v2.0.0",
                    "source": {"go": "one", "package": "example.org/helper/v2", "tags": ["a", "b"]},
                },
                {
                    "name": "pause",
                    "about": "waits",
                    "version": "v1.0.0",
                    "source": {"go": "two", "package": "example.org/pause"},
                    "image": {"name": "quay.io/team/pause:v1"},
                },
            ]
        }
    )
