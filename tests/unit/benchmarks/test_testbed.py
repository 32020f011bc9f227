"""The pure parts of the benchmark: lines of `up`, statistics, the table and the document around it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks import testbed as bench
from benchmarks.call import Failed, Run, call
from benchmarks.figures import (
    MARKER,
    Figure,
    Target,
    merged,
    nodes_ready,
    number,
    pss_kib,
    ready_name,
    rows_of,
    table,
    written,
)
from testbed import sandbox
from testbed.cgroups import Cgroups, Hierarchy
from testbed.home import Home
from testbed.sandbox import Sandbox

LIMITED = Target("warm `up`", "s", 60, "python -m testbed up")
FREE = Target("idle CPU", "s", None, "a | b")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("   3.8 s  kubelet@node-1 ready  starts the pods of a node", "kubelet@node-1"),
        (" 113.0 s  coredns ready", "coredns"),
        ("the testbed is up: 3 nodes and every add-on ready (31.2 s)", None),
        ("   3.8 s  kubelet@node-1 readyish", None),
        ("", None),
    ],
)
def test_a_ready_line_names_its_component(line: str, name: str | None) -> None:
    assert ready_name(line) == name


def test_nodes_are_ready_with_the_last_one_by_the_clock_of_the_command() -> None:
    lines = [(7.0 + index, f"   {index}.0 s  kubelet@node-{index} ready  about") for index in (2, 3, 1)]
    assert nodes_ready([(1.0, "warning: little memory"), *lines, (30.0, "  20.0 s  coredns ready")], 3) == 10.0


def test_a_node_without_a_line_is_named() -> None:
    with pytest.raises(ValueError, match="kubelet@node-2, kubelet@node-3"):
        nodes_ready([(1.0, "   0.5 s  kubelet@node-1 ready")], 3)


@pytest.mark.parametrize(
    ("values", "verdict", "measured"),
    [
        ((31.234,), "PASS", "31.2 s"),
        ((60.0,), "PASS", "60.0 s"),
        ((30.0, 61.0, 31.0), "MISS", "min 30.0, median 31.0, max 61.0 s (n=3)"),
        ((), "MISS", "failed: no value"),
    ],
)
def test_the_worst_run_decides(values: tuple[float, ...], verdict: str, measured: str) -> None:
    figure = Figure(LIMITED, values, "2025-01-02")
    assert (figure.verdict, figure.measured) == (verdict, measured)


def test_a_failure_is_a_miss_that_says_why() -> None:
    figure = Figure(LIMITED, (), "2025-01-02", "etcd is not ready")
    assert (figure.verdict, figure.measured) == ("MISS", "failed: etcd is not ready")


def test_without_a_limit_there_is_no_verdict() -> None:
    figure = Figure(FREE, (4.0,), "2025-01-02")
    assert (figure.verdict, figure.limit) == ("-", "-")


@pytest.mark.parametrize(("value", "text"), [(0.8449, "0.84"), (1.95, "1.95"), (12.34, "12.3"), (745.4, "745")])
def test_three_digits_are_enough(value: float, text: str) -> None:
    assert number(value) == text


def test_pss_is_read_and_not_its_parts() -> None:
    assert pss_kib("55d0-7ffe ---p 0 00:00 0 [rollup]\nRss:   900 kB\nPss:   412 kB\nPss_Anon:   11 kB\n") == 412
    assert pss_kib("") == 0


def test_a_written_table_is_read_back() -> None:
    rows = [Figure(LIMITED, (1.0,), "2025-01-02").cells(), Figure(FREE, (2.0,), "2025-01-02").cells()]
    document = written(f"# Title\n\n| a | b |\n\n{MARKER}\n\nold\n", "Measured on it.", rows)
    assert document.startswith(f"# Title\n\n| a | b |\n\n{MARKER}\n\nMeasured on it.\n\n| Figure | Limit |")
    assert "old" not in document
    assert rows_of(document) == rows
    assert all(line.count("|") - line.count("\\|") == 7 for line in table(rows).splitlines())


def test_a_document_without_the_marker_is_left_alone() -> None:
    with pytest.raises(ValueError, match="lacks the line"):
        written("# Title\n", "", [])


def test_a_row_that_was_not_measured_again_stays() -> None:
    old = [("cold", "1"), ("warm", "1"), ("gone", "1")]
    assert merged(old, [("warm", "2")], ["cold", "warm", "idle"]) == [("cold", "1"), ("warm", "2")]


def test_every_figure_has_its_own_name_and_the_document_its_marker() -> None:
    assert len({target.what for target in bench.ALL}) == len(bench.ALL)
    assert MARKER in bench.DOCUMENT.read_text(encoding="utf-8")


def test_a_cold_environment_has_no_cache_of_the_user(tmp_path: Path) -> None:
    given = {"HOME": "/h", "GOPATH": "/h/go", "GOCACHE": "/c", "PATH": "/bin"}
    cold = bench.cold_environment(tmp_path, given, "/h/settings")
    assert cold["PATH"] == "/bin"
    assert cold["GOENV"] == "/h/settings"
    assert "GOPATH" not in cold
    for name in ("HOME", "XDG_CACHE_HOME", "GOCACHE", "GOMODCACHE", "SLIPWAY_TESTBED_STATE"):
        assert cold[name].startswith(f"{tmp_path}/")


def test_a_read_only_module_cache_is_removed(tmp_path: Path) -> None:
    module = tmp_path / "cold" / "go-mod" / "example.com@v1"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module example.com\n")
    (module / "go.mod").chmod(0o444)
    module.chmod(0o555)
    bench.remove(tmp_path / "cold")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["memory.current", "memory.usage_in_bytes"])
def test_both_versions_of_cgroups_say_what_they_use(tmp_path: Path, name: str) -> None:
    (tmp_path / "slipway").mkdir()
    (tmp_path / "slipway" / name).write_text("4096\n")
    unused = Hierarchy(tmp_path / "none", frozenset(), unified=False)
    found = Hierarchy(tmp_path, frozenset({"memory"}), unified=name == "memory.current")
    assert bench.cgroup_bytes(Cgroups((unused, found))) == 4096
    assert bench.cgroup_bytes(Cgroups((unused,))) is None


def test_a_command_is_timed_and_echoed(tmp_path: Path) -> None:
    heard: list[str] = []
    code = "import sys, time; print('one', flush=True); time.sleep(0.2); print('two', file=sys.stderr)"
    done = call([sys.executable, "-c", code], timeout=30, cwd=tmp_path, env=os.environ, tell=heard.append)
    assert heard == ["one", "two"]
    assert done.lines[1][0] - done.lines[0][0] > 0.1
    assert done.seconds >= done.lines[1][0]


def test_a_failed_command_says_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no disk'); raise SystemExit(4)"]
    with pytest.raises(Failed, match="exit code 4: no disk"):
        call(command, timeout=30, cwd=tmp_path, env=os.environ, tell=lambda _: None)


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with pytest.raises(Failed, match="not done within 1 s"):
        call([sys.executable, "-c", code], timeout=1, cwd=tmp_path, env=os.environ, tell=lambda _: None)


@pytest.mark.parametrize(("nodes", "last"), [(None, ["down"]), (2, ["up", "--nodes=2"])])
def test_the_testbed_is_left_as_it_was_even_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, nodes: int | None, last: list[str]
) -> None:
    commands: list[list[str]] = []

    def pretend(command: list[str], **_: object) -> Run:
        commands.append(command)
        if "--nodes=3" in command:
            raise Failed("no disk")
        return Run(1.0, ())

    before = Sandbox(pid=1, started="", nodes=nodes, range="10.200.0.0/16", fingerprint="") if nodes else None
    monkeypatch.setattr(bench, "call", pretend)
    monkeypatch.setattr(sandbox, "find", lambda _: before)
    taken = bench.Bench(Home(Path("/none/cache"), Path("/none/state")))
    taken.everything(cold=False)
    assert commands[-2][3:] == last
    assert commands[-1] == ["make", "check"]
    assert taken.missed()
    failed = [figure.target for figure in taken.figures if figure.failure]
    assert failed == [bench.UP, bench.READY, bench.DOWN]
