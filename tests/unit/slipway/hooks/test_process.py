"""The runner: real programs, because what it promises is about processes."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from slipway.errors import BuildError, ExternalError, HelmError
from slipway.hooks.process import Masker, run


def test_returns_what_the_program_left_behind() -> None:
    completed = run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=20)

    assert (completed.returncode, completed.stdout, completed.stderr) == (3, "out\n", "err\n")
    assert completed.last_words == "err"


def test_requires_success_with_the_last_words() -> None:
    completed = run(["sh", "-c", "echo no such chart >&2; exit 1"], timeout_s=20)

    with pytest.raises(HelmError) as caught:
        completed.require("helm upgrade failed", error=HelmError, mend="look at the chart")

    assert str(caught.value) == "helm upgrade failed\n  found  exit code 1: no such chart\n  do     look at the chart"


def test_hands_lines_on_as_they_come() -> None:
    lines: list[str] = []

    run(["sh", "-c", "echo one >&2; printf 'two\\rthree' >&2; echo silent"], timeout_s=20, log=lines.append)

    assert lines == ["one", "two", "three"]


def test_hands_on_the_output_where_asked() -> None:
    lines: list[str] = []

    run(["echo", "STEP 1/2"], timeout_s=20, log=lines.append, log_stdout=True)

    assert lines == ["STEP 1/2"]


def test_feeds_more_than_a_pipe_holds() -> None:
    content = "x" * 1_000_000

    assert run(["wc", "-c"], timeout_s=20, stdin=content).stdout.strip() == "1000000"


def test_reads_nothing_when_nothing_is_given() -> None:
    assert run(["cat"], timeout_s=20).stdout == ""


def test_masks_secrets_in_lines_errors_and_arguments() -> None:
    lines: list[str] = []
    secret = "s3cr/t+value"  # noqa: S105 - made up
    encoded = base64.b64encode(secret.encode()).decode()

    completed = run(
        ["sh", "-c", f"echo {secret} {encoded} s3cr%2Ft%2Bvalue >&2; exit 1"],
        timeout_s=20,
        log=lines.append,
        secrets=[secret, ""],
    )
    with pytest.raises(ExternalError) as caught:
        completed.require("it failed")

    assert lines == ["*** *** ***"]
    assert secret not in f"{completed.argv}{completed.stderr}{caught.value}{completed!r}"


def test_masks_a_secret_of_several_lines_line_by_line() -> None:
    assert Masker(["-----BEGIN-----\nabcdefgh\nshort"])("a line: abcdefgh; short") == "a line: ***; short"


def test_names_a_program_that_is_not_installed() -> None:
    with pytest.raises(BuildError) as caught:
        run(["no-such-program", "x"], timeout_s=20, error=BuildError)

    assert str(caught.value) == (
        "no-such-program could not be started\n"
        "  found  no-such-program could not be started: No such file or directory\n"
        "  do     install no-such-program, or add its folder to PATH"
    )


def test_says_by_which_signal_a_program_ended() -> None:
    assert run(["sh", "-c", "kill -9 $$"], timeout_s=20).returncode == 128 + signal.SIGKILL


def test_stops_the_whole_family_at_the_time_limit(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    # One child in the group, one that has left it: both must go.
    script = f"sleep 300 & echo $! >> {pids}; setsid sleep 300 & echo $! >> {pids}; echo waiting >&2; wait"

    with pytest.raises(ExternalError) as caught:
        run(["sh", "-c", script], timeout_s=1)

    assert caught.value.what == "sh did not end within 1 s and was stopped"
    assert "waiting" in (caught.value.found or "")
    assert [pid for pid in pids.read_text().split() if _lives(int(pid))] == []


def test_leaves_nothing_running_after_a_good_end(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    run(["sh", "-c", f"setsid sleep 300 >/dev/null 2>&1 & echo $! > {pids}"], timeout_s=20)

    assert not _lives(int(pids.read_text()))


def test_program_dies_with_its_parent(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                f"""
                from slipway.hooks.process import run
                run(["sh", "-c", "sleep 300 & echo $! > {pids}.part; echo $$ >> {pids}.part; "
                     "mv {pids}.part {pids}; wait"], timeout_s=300)
                """
            ),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    _eventually(pids.exists)
    parent.kill()
    parent.wait()

    for pid in pids.read_text().split():
        _eventually(lambda pid=pid: not _lives(int(pid)))  # type: ignore[misc]


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _eventually(holds: object, limit_s: float = 20.0) -> None:
    give_up = time.monotonic() + limit_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < give_up, "did not become true in time"
        time.sleep(0.01)
