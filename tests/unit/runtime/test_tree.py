from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from runtime import tree
from testbed import proc

if TYPE_CHECKING:
    from runtime.settings import Settings


def test_a_process_with_the_same_number_and_another_start_is_not_ours(chosen: Settings) -> None:
    home = chosen.home
    home.create()
    mine = {"pid": os.getpid(), "started": proc.start_of(os.getpid()), "fingerprint": "x"}
    home.pidfile.write_text(json.dumps(mine), encoding="utf-8")
    assert tree.find(home) == tree.Tree(**mine)  # type: ignore[arg-type]
    home.pidfile.write_text(json.dumps(mine | {"started": "another boot/1"}), encoding="utf-8")
    assert tree.find(home) is None


def test_without_a_readable_note_nothing_runs(chosen: Settings) -> None:
    assert tree.find(chosen.home) is None
    assert not tree.end(chosen.home)
    chosen.home.create()
    for text in ("", "{}", "not json"):
        chosen.home.pidfile.write_text(text, encoding="utf-8")
        assert tree.find(chosen.home) is None
        assert not tree.end(chosen.home)


def test_shows_the_end_of_a_log(chosen: Settings) -> None:
    chosen.home.create()
    log = chosen.home.logs / "scheduler.log"
    assert tree.last_lines(log) == "its log is empty"
    log.write_text("".join(f"line {number}\n" for number in range(20)), encoding="utf-8")
    assert tree.last_lines(log, 2) == "line 18\nline 19"
