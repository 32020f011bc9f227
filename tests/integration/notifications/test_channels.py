"""Notifications against real servers: DingTalk's and Slack's rules, a mail server, and their faults."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from slipway.names import AbortedBy, Channel, Occasion, Rule
from slipway.notifications.message import Comparison, Message, ReleaseRef, aborted
from slipway.notifications.sending import Notifier
from slipway.notifications.text import Unit

if TYPE_CHECKING:
    from tests.integration.notifications.conftest import Sinks

EVERY = {Channel.DINGTALK: "dingtalk", Channel.SLACK: "slack", Channel.EMAIL: "mail"}


@dataclass
class Ledger:
    """Receipts in memory."""

    kept: dict[tuple[str, Occasion, Channel], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def claim_notification(self, release_id: str, occasion: Occasion, channel: Channel) -> bool:
        with self.lock:
            if self.kept.get((release_id, occasion, channel), "failed") != "failed":
                return False
            self.kept[release_id, occasion, channel] = "claimed"
            return True

    def confirm_notification(self, release_id: str, occasion: Occasion, channel: Channel, _detail: str) -> None:
        self.kept[release_id, occasion, channel] = "confirmed"

    def fail_notification(self, release_id: str, occasion: Occasion, channel: Channel, _error: str) -> None:
        self.kept[release_id, occasion, channel] = "failed"


@pytest.fixture
def marker() -> str:
    return f"notify-{uuid.uuid4().hex[:12]}"


def bad_canary(marker: str) -> Message:
    return aborted(
        ReleaseRef(id=marker, application="hive-platform", version="1.0.1", environment="testbed"),
        at=datetime.now(UTC),
        reason="7.9 % of 1,204 canary requests failed; the limit is 5.0 %. <!channel> & co",
        aborted_by=AbortedBy.SLIPWAY,
        rule=Rule.ERROR_RATE,
        stable="1.0.0",
        comparisons=[Comparison(label="Error rate", unit=Unit.RATIO, canary=0.079, stable=0.0004, limit=0.05)],
        requests_served=1204,
        requests_failed=95,
        exposure_s=42.3,
        links={"Airflow run": "https://airflow.example.com/runs/7?a=1&b=2"},
    )


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(found) == 1, found
    return found[0]


@pytest.mark.e2e
def test_the_testbeds_servers_take_all_three(testbed_sinks: Sinks, marker: str) -> None:
    """They check the signature, the blocks and the payloads as the real ones do."""
    receipts = Notifier(testbed_sinks.channels(), Ledger()).send(bad_canary(marker))
    assert [(receipt.channel, receipt.ok) for receipt in receipts] == [(channel, True) for channel in EVERY], receipts
    for kept in EVERY.values():
        text = only(testbed_sinks.messages(marker, kept))["text"]
        assert "7.9 %" in text
        assert "What happens next" in text
        assert "https://airflow.example.com/runs/7?a=1&" in text


def test_what_arrives_is_what_was_meant(sinks: Sinks, marker: str) -> None:
    channels = [sinks.dingtalk(), sinks.slack(), sinks.email("a@example.com", "b@example.com")]
    receipts = Notifier(channels, Ledger()).send(bad_canary(marker))
    assert [receipt.detail for receipt in receipts] == [
        "taken by the robot",
        "taken by the webhook",
        "taken by the mail server for 2 of 2 recipients",
    ]
    dingtalk, slack, mail = (only(sinks.messages(marker, kept)) for kept in EVERY.values())
    headline = "hive-platform 1.0.1 was stopped in testbed: too many errors"
    assert dingtalk["title"] == f"STOPPED: {headline}"
    assert "＜!channel＞ & co" in dingtalk["text"]  # noqa: RUF001 - the look-alikes are meant
    assert slack["title"] == f"⛔ {headline}"
    assert "&lt;!channel&gt; &amp; co" in slack["text"]
    assert mail["title"] == f"[slipway] STOPPED: {headline}"
    assert mail["raw"]["envelope"] == {"from": "slipway@example.com", "to": ["a@example.com", "b@example.com"]}
    assert "&lt;!channel&gt; &amp; co" in mail["raw"]["html"]
    assert "<!channel> & co" in mail["raw"]["text"]
    headers = dict(mail["raw"]["headers"])
    assert headers["Message-ID"].endswith(".aborted@example.com>")
    assert (headers["Importance"], headers["Auto-Submitted"]) == ("high", "auto-generated")


@pytest.mark.parametrize("secret", ["SECwrong", None], ids=["wrong", "missing"])
def test_a_wrong_secret_says_what_to_do(sinks: Sinks, marker: str, secret: str | None) -> None:
    (receipt,) = Notifier([sinks.dingtalk(secret=secret)], Ledger()).send(bad_canary(marker))
    assert not receipt.ok
    assert receipt.detail == (
        "DingTalk refused the message.\n"
        "  found  errcode 310000 sign not match\n"
        "  do     compare the secret (SEC...) in the connection with the robot's security settings, and this machine's "
        "clock with the true time (one hour at most); a robot with keywords needs one of them in the text"
    )
    assert sinks.messages(marker) == []


def test_a_wrong_token_and_a_wrong_webhook_say_what_to_do(sinks: Sinks, marker: str) -> None:
    channels = [sinks.dingtalk(token="hunter2"), sinks.slack("T0/B0/hunter2")]  # noqa: S106
    receipts = Notifier(channels, Ledger()).send(bad_canary(marker))
    assert [receipt.detail for receipt in receipts] == [
        "DingTalk refused the message.\n"
        "  found  errcode 300005 token is not exist\n"
        "  do     the access_token belongs to no robot: copy it again from the robot's webhook",
        "Slack refused the message.\n"
        "  found  HTTP 403 invalid_token\n"
        "  do     the webhook's last part is wrong or was withdrawn: copy the address again from the app's page",
    ]


@pytest.mark.parametrize("dead", EVERY)
def test_a_dead_channel_stops_no_other(sinks: Sinks, marker: str, dead: Channel) -> None:
    sinks.fault(EVERY[dead], status=550 if dead is Channel.EMAIL else 404)
    receipts = Notifier(sinks.channels(), Ledger()).send(bad_canary(marker))
    assert {receipt.channel: receipt.ok for receipt in receipts} == {channel: channel is not dead for channel in EVERY}
    assert {message["channel"] for message in sinks.messages(marker)} == {
        kept for channel, kept in EVERY.items() if channel is not dead
    }


@pytest.mark.parametrize(
    ("channel", "fault"),
    [
        (Channel.DINGTALK, {"status": 500}),
        (Channel.DINGTALK, {"errcode": 130101}),
        (Channel.SLACK, {"status": 500}),
        (Channel.SLACK, {"status": 429}),
        (Channel.EMAIL, {"status": 451}),
    ],
    ids=["dingtalk-500", "dingtalk-130101", "slack-500", "slack-429", "mail-451"],
)
def test_what_passes_is_tried_again(sinks: Sinks, marker: str, channel: Channel, fault: dict[str, int]) -> None:
    sinks.fault(EVERY[channel], times=1, **fault)
    (sender,) = (one for one in sinks.channels() if one.channel is channel)
    (receipt,) = Notifier([sender], Ledger()).send(bad_canary(marker))
    assert receipt.ok, receipt
    assert receipt.detail.endswith(" at attempt 2")
    only(sinks.messages(marker, EVERY[channel]))
    only(sinks.messages(marker, EVERY[channel], accepted=False))


def test_a_channel_that_stays_broken_is_given_up_within_the_bound_and_sent_by_the_next_call(
    sinks: Sinks, marker: str
) -> None:
    sinks.fault("slack", status=503)
    notifier = Notifier(sinks.channels(), Ledger(), bound_s=3, ledger_s=0.5)
    began = time.monotonic()
    assert [receipt.ok for receipt in notifier.send(bad_canary(marker))] == [True, False, True]
    assert time.monotonic() - began < 3.5
    assert len(sinks.messages(marker, "slack", accepted=False)) > 1
    sinks.behave()
    assert [receipt.ok for receipt in notifier.send(bad_canary(marker))] == [True, True, True]
    for kept in EVERY.values():
        only(sinks.messages(marker, kept))


def test_the_same_message_arrives_once_however_often_and_from_wherever_it_is_sent(sinks: Sinks, marker: str) -> None:
    ledger = Ledger()
    threads = [
        threading.Thread(target=Notifier(sinks.channels(), ledger).send, args=(bad_canary(marker),)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    Notifier(sinks.channels(), ledger).send(bad_canary(marker))
    for kept in EVERY.values():
        only(sinks.messages(marker, kept))


@pytest.mark.parametrize("slow", EVERY)
def test_a_slow_channel_is_bounded_in_time(sinks: Sinks, marker: str, slow: Channel) -> None:
    sinks.fault(EVERY[slow], delay_s=5)
    began = time.monotonic()
    receipts = Notifier(sinks.channels(), Ledger(), bound_s=2, ledger_s=0.4).send(bad_canary(marker))
    took_s = time.monotonic() - began
    assert took_s < 2.5
    assert {receipt.channel: receipt.ok for receipt in receipts} == {channel: channel is not slow for channel in EVERY}


def test_a_server_that_is_not_there_is_named_without_its_secret(sinks: Sinks, marker: str) -> None:
    from dataclasses import replace

    nowhere = replace(sinks, chat="http://127.0.0.1:9", mail=("127.0.0.1", 9))
    receipts = Notifier(nowhere.channels(), Ledger(), bound_s=2, ledger_s=0.4).send(bad_canary(marker))
    assert [receipt.ok for receipt in receipts] == [False, False, False]
    assert all("127.0.0.1:9 did not answer. Given up after" in receipt.detail for receipt in receipts)
    assert not any("testbed" in receipt.detail for receipt in receipts)
