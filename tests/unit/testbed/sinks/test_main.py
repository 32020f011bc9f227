from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import urllib.request
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest

from testbed.errors import UsageError
from testbed.sinks.__main__ import parse_robots, parse_webhooks
from testbed.sinks.dingtalk import Robot

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "testbed.sinks", "--host", "127.0.0.1", "--smtp-port", "0"]


def test_robots_and_keywords_are_read() -> None:
    robots = parse_robots(["a=SECa=", "b="], ["a=release", "a=alarm"])
    assert robots == {"a": Robot("SECa=", ("release", "alarm")), "b": Robot("")}


@pytest.mark.parametrize(("robots", "keywords"), [(["a"], []), (["=s"], []), (["a=s"], ["b=w"]), (["a=s"], ["a="])])
def test_options_that_cannot_be_read_are_refused_without_showing_them(robots: list[str], keywords: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_robots(robots, keywords)


@pytest.mark.parametrize("webhook", ["", "T/B", "T/B/X/Y", "T//X"])
def test_a_webhook_has_three_parts(webhook: str) -> None:
    assert parse_webhooks(["T0/B0/x"]) == ["T0/B0/x"]
    with pytest.raises(UsageError):
        parse_webhooks([webhook])


def test_the_process_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    command = [*COMMAND, "--chat-port", "0", "--state", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        try:
            chat, mail = words[2], int(words[4].rpartition(":")[2])
            letter = EmailMessage()
            letter["Subject"] = "hello"
            with smtplib.SMTP("127.0.0.1", mail, timeout=5) as server:
                server.send_message(letter, "a@b", ["c@d"])
                # The connection is still open when the process is told to end.
                with urllib.request.urlopen(f"{chat}messages", timeout=5) as response:  # noqa: S310
                    assert [row["title"] for row in json.load(response)] == ["hello"]
                process.send_signal(signal.SIGTERM)
                rest = process.stdout.read()
        finally:
            process.kill()
    assert process.returncode == 0
    assert rest.startswith('mail accepted "hello" ')
    assert len((tmp_path / "messages.jsonl").read_text().splitlines()) == 2
