from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.build import go
from testbed.catalog import Catalog, load
from testbed.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from testbed.home import Home

    from .conftest import Tools

REPOSITORY = Path(__file__).parents[4]


def test_the_hash_follows_everything_that_a_program_is_made_from(catalog: Catalog, source: Path) -> None:
    seen = {go.source_hash(catalog, "one")}
    for name in ("go.mod", "go.sum", "main.go", "sub/new.go"):
        path = source / "go" / "one" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"changed {name}\n", encoding="utf-8")
        seen.add(go.source_hash(catalog, "one"))
    assert len(seen) == 5
    assert all(len(item) == 12 for item in seen)


def test_the_hash_follows_the_flags_but_not_the_list_of_programs(catalog: Catalog) -> None:
    table = catalog.model_dump()
    more = {"name": "more", "about": "m", "version": "v1", "source": {"go": "two", "package": "example.org/more"}}
    longer = Catalog.model_validate({"components": [*table["components"], more]})
    tagged = Catalog.model_validate(
        {"components": [*table["components"], {**more, "source": {**more["source"], "tags": ["x"]}}]}  # type: ignore[dict-item]
    )
    assert go.source_hash(longer, "two") == go.source_hash(catalog, "two")
    assert go.source_hash(tagged, "two") != go.source_hash(catalog, "two")


def test_an_unknown_module_is_named(catalog: Catalog, source: Path) -> None:
    with pytest.raises(BuildError) as caught:
        go.source_hash(catalog, "three")
    assert str(caught.value) == (
        f"the Go module three does not exist\n  found  no go.mod in {source}/go/three\n  do     correct components.yaml"
    )


def test_builds_each_once_and_links_it(
    home: Home, catalog: Catalog, console: Console, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod -race")
    go.build(home, catalog, console)
    assert tools.calls() == [
        "-mod=readonly|off|0|install -mod=readonly -trimpath -buildvcs=false -ldflags -s -w"
        " -X k8s.io/component-base/version.gitVersion=v1.34.4 -X k8s.io/component-base/version.gitMajor=1"
        " -X k8s.io/component-base/version.gitMinor=34 k8s.io/kubernetes/cmd/api",
        "-mod=readonly|off|0|install -mod=readonly -trimpath -buildvcs=false -ldflags -s -w -tags=a,b"
        " example.org/helper/v2",
        "-mod=readonly|off|0|install -mod=readonly -trimpath -buildvcs=false -ldflags -s -w example.org/pause",
    ]
    assert sorted(path.name for path in home.bin.iterdir()) == ["api", "helper", "pause"]
    assert (home.bin / "api").read_text(encoding="utf-8") == "api package one\n"
    go.build(home, catalog, console)
    assert len(tools.calls()) == 3
    assert go.expected_seconds(home, catalog) == 0


def test_a_changed_module_is_built_again_and_its_old_folder_removed(
    home: Home, catalog: Catalog, console: Console, tools: Tools, source: Path
) -> None:
    go.build(home, catalog, console)
    (source / "go" / "two" / "main.go").write_text("package new\n", encoding="utf-8")
    assert [item.name for item in go.unbuilt(home, catalog)] == ["pause"]
    go.build(home, catalog, console)
    assert (home.bin / "pause").read_text(encoding="utf-8") == "pause package new\n"
    assert sorted(path.name.partition("-")[0] for path in (home.cache / "programs").iterdir()) == ["one", "two"]


def test_what_is_no_longer_in_the_table_loses_its_link(
    home: Home, catalog: Catalog, console: Console, tools: Tools
) -> None:
    go.build(home, catalog, console)
    (home.bin / "gone").symlink_to("/nowhere")
    go.build(home, catalog, console)
    assert not (home.bin / "gone").is_symlink()


def test_a_killed_build_is_continued(
    home: Home, catalog: Catalog, console: Console, tools: Tools, source: Path
) -> None:
    """The whole process dies by SIGKILL while go has written half a program."""
    tools.knob("kill", "pause")
    table = source / "table.json"
    table.write_text(catalog.model_dump_json(), encoding="utf-8")
    script = (
        "import json, pathlib, sys; from rich.console import Console; from testbed.build import go;"
        "from testbed.catalog import Catalog; from testbed.home import Home;"
        f"go.MODULES = pathlib.Path({str(source / 'go')!r});"
        f"home = Home(cache=pathlib.Path({str(home.cache)!r}), state=pathlib.Path('/nowhere'));"
        f"go.build(home, Catalog.model_validate_json(pathlib.Path({str(table)!r}).read_text()), Console())"
    )
    died = subprocess.run(
        (sys.executable, "-c", script), cwd=REPOSITORY, env=os.environ, capture_output=True, timeout=60, check=False
    )
    assert died.returncode == -9, died.stderr
    assert [item.name for item in go.unbuilt(home, catalog)] == ["pause"]
    assert list((home.cache / "programs").glob("*.partial-*"))
    (tools.knobs / "kill").unlink()
    go.build(home, catalog, console)
    assert len(tools.calls()) == 4  # api and helper were not built again
    assert (home.bin / "pause").read_text(encoding="utf-8") == "pause package two\n"
    assert not list((home.cache / "programs").glob("*.partial-*"))


@pytest.mark.parametrize(
    ("said_by_go", "do"),
    [
        (
            "write /tmp/x: no space left on device",
            "free some disk (a build takes 10 GB), or point GOCACHE and TMPDIR to a larger one",
        ),
        (
            "go: go.mod requires go >= 1.26.6 (running go 1.22.1; GOTOOLCHAIN=local)",
            "install Go 1.26.6 or newer, or set GOTOOLCHAIN=auto so that go fetches it by itself",
        ),
        (
            "dial tcp: lookup proxy: no such host",
            "the module proxy cannot be reached: check the network, go env GOPROXY and HTTPS_PROXY",
        ),
        (
            "reading x@v1/go.mod: 404 Not Found",
            "the module proxy does not serve this version: check go env GOPROXY, or choose another version",
        ),
        (
            "verifying module: checksum mismatch",
            "the download differs from go.sum: clear it with go clean -modcache, try again",
        ),
        (
            "missing go.sum entry for module",
            "go.mod and go.sum do not fit together: take both from the repository, or run go mod tidy",
        ),
        ("compile: signal: killed", "free some memory (the largest program takes 4 GB), then try again"),
    ],
)
def test_a_failure_says_what_to_do(
    home: Home, catalog: Catalog, console: Console, tools: Tools, said_by_go: str, do: str
) -> None:
    tools.knob("fail-pause", f"{said_by_go}\n")
    with pytest.raises(BuildError) as caught:
        go.build(home, catalog, console)
    assert str(caught.value) == f"pause could not be built\n  found  {said_by_go}\n  do     {do}"


def test_an_unknown_failure_shows_the_command(home: Home, catalog: Catalog, console: Console, tools: Tools) -> None:
    tools.knob("fail-pause", "main.go:3: undefined: x\n")
    with pytest.raises(BuildError) as caught:
        go.build(home, catalog, console)
    assert str(caught.value) == (
        "pause could not be built\n"
        "  found  main.go:3: undefined: x\n"
        "  do     try it by hand: go install -mod=readonly -trimpath -buildvcs=false -ldflags -s -w example.org/pause"
    )


def test_a_program_of_another_name_is_no_success(home: Home, catalog: Catalog, console: Console, tools: Tools) -> None:
    tools.knob("other-pause")
    with pytest.raises(BuildError) as caught:
        go.build(home, catalog, console)
    assert str(caught.value) == (
        "pause could not be built\n"
        "  found  go made other\n"
        "  do     correct the package of pause in components.yaml: example.org/pause"
    )


def test_times_are_remembered(home: Home, catalog: Catalog, console: Console, tools: Tools) -> None:
    assert go.expected_seconds(home, catalog) == 30 + 30 + 5
    go.build(home, catalog, console)
    assert sorted(json.loads((home.cache / "seconds.json").read_text(encoding="utf-8"))) == ["api", "helper", "pause"]


def test_plain_lines(
    home: Home, catalog: Catalog, console: Console, tools: Tools, said: Callable[[], list[str]]
) -> None:
    go.build(home, catalog, console)
    assert said() == [
        "programs: api begins (1 of 3, about 0:30 of 1:05 that remain)",
        "programs: api done in 0:00 (1 of 3)",
        "programs: helper begins (2 of 3, about 0:30 of 0:35 that remain)",
        "programs: helper done in 0:00 (2 of 3)",
        "programs: pause begins (3 of 3, about 0:05 of 0:05 that remain)",
        "programs: pause done in 0:00 (3 of 3)",
    ]


def test_module_dir_fetches_what_is_not_there(tools: Tools, source: Path) -> None:
    tools.knob("dir", "\n")
    assert go.module_dir("one", "example.org/x") == tools.knobs / "source"
    assert [line.rpartition("|")[2] for line in tools.calls()] == [
        "list -m -f {{.Dir}} example.org/x",
        "mod download example.org/x",
        "list -m -f {{.Dir}} example.org/x",
    ]


def test_every_program_of_the_table_has_an_expected_time() -> None:
    binaries = {item.source.binary for item in load().go_programs}  # type: ignore[union-attr]
    assert binaries <= set(go.SECONDS)
