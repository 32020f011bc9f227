"""The sinks that the notifications are proved on.

What only sends goes to the running testbed. What needs a fault gets a process of its own, of the same program: a
fault in the shared one would hit everybody else's messages, and a DingTalk robot that was sent too much is silent for
ten minutes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from slipway.notifications.sending import Sender, sender
from slipway.notifications.settings import channel_from_connection

from testbed import sandbox
from testbed.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Sinks:
    """A chat and a mail server that keep what arrives.

    :param chat: base address of the chat server.
    :param mail: host and port of the mail server.
    """

    chat: str
    mail: tuple[str, int]

    def dingtalk(self, *, token: str = "testbed", secret: str | None = "SECtestbed") -> Sender:  # noqa: S107
        extra = {} if secret is None else {"secret": secret}
        return sender(channel_from_connection("dingtalk", host=self.chat, password=token, extra=extra))

    def slack(self, path: str = "T0/B0/testbed") -> Sender:
        return sender(channel_from_connection("slackwebhook", host=self.chat, password=path))

    def email(self, *recipients: str) -> Sender:
        host, port = self.mail
        extra = {
            "from_email": "slipway@example.com",
            "to": list(recipients) or ["night@example.com"],
            "security": "none",
        }
        return sender(channel_from_connection("smtp", host=host, port=port, extra=extra))

    def channels(self) -> list[Sender]:
        return [self.dingtalk(), self.slack(), self.email()]

    def messages(self, contains: str, channel: str | None = None, *, accepted: bool = True) -> list[dict[str, Any]]:
        query: dict[str, str] = {"contains": contains, "accepted": str(accepted).lower()}
        if channel is not None:
            query["channel"] = channel
        found: list[dict[str, Any]] = httpx.get(f"{self.chat}/messages", params=query, timeout=5).json()
        return found

    def fault(self, channel: str, **how: object) -> None:
        httpx.put(f"{self.chat}/faults/{channel}", json=how, timeout=5).raise_for_status()

    def behave(self) -> None:
        httpx.delete(f"{self.chat}/faults", timeout=5).raise_for_status()


@pytest.fixture(scope="module")
def _own_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sinks]:
    log: Path = tmp_path_factory.mktemp("sinks") / "log"
    command = [sys.executable, "-m", "testbed.sinks", "--chat-port=0", "--smtp-port=0", f"--state={log.parent}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        found = re.search(r"chat (\S+)/ mail (\S+):(\d+)", ready)
        assert found, ready
        yield Sinks(found[1], (found[2], int(found[3])))
        process.terminate()


@pytest.fixture
def sinks(_own_process: Sinks) -> Iterator[Sinks]:
    """Sinks of our own, which behave when a test begins."""
    _own_process.behave()
    yield _own_process
    _own_process.behave()


@pytest.fixture
def testbed_sinks() -> Sinks:
    """The sinks of the running testbed; shared, so only for sending."""
    running = sandbox.find(Home.default())
    if running is None:
        pytest.skip("needs the running testbed: make up")
    address = f"http://{running.network.control}:8080"
    return Sinks(address, (str(running.network.control), 1025))
