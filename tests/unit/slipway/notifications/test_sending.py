from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from slipway.errors import LedgerError, NotificationError
from slipway.names import Channel, Occasion
from slipway.notifications.failures import TemporaryError
from slipway.notifications.sending import Notifier, Receipt

from tests.unit.slipway.notifications.samples import bad_canary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.notifications.message import Message

KEY = ("hive-platform-1.0.1-r7", Occasion.ABORTED)


@dataclass
class Ledger:
    """Receipts in memory, with the rules of the protocol except for the claim that runs out."""

    kept: dict[tuple[str, Occasion, Channel], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def claim_notification(self, release_id: str, occasion: Occasion, channel: Channel) -> bool:
        with self.lock:
            if self.kept.get((release_id, occasion, channel), "failed").startswith("failed"):
                self.kept[release_id, occasion, channel] = "claimed"
                return True
            return False

    def confirm_notification(self, release_id: str, occasion: Occasion, channel: Channel, detail: str) -> None:
        self.kept[release_id, occasion, channel] = f"confirmed: {detail}"

    def fail_notification(self, release_id: str, occasion: Occasion, channel: Channel, error: str) -> None:
        self.kept[release_id, occasion, channel] = f"failed: {error}"


@dataclass
class Fake:
    """A channel that raises what it is told to, one after the other, and then takes everything."""

    channel: Channel
    errors: list[BaseException] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)

    def send(self, message: Message, _timeout_s: float) -> str:
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(message)
        return "taken"


@dataclass
class Hanging:
    channel: Channel
    go_on: threading.Event

    def send(self, *_: object) -> str:
        self.go_on.wait(30)
        return "taken late"


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_one_dead_channel_stops_no_other() -> None:
    ledger = Ledger()
    dead = Fake(Channel.SLACK, [NotificationError("Slack refused the message.", found="404", mend="make a new one")])
    alive = [Fake(Channel.DINGTALK), Fake(Channel.EMAIL)]
    receipts = Notifier([alive[0], dead, alive[1]], ledger).send(bad_canary())
    assert receipts == [
        Receipt(Channel.DINGTALK, ok=True, detail="taken"),
        Receipt(Channel.SLACK, ok=False, detail="Slack refused the message.\n  found  404\n  do     make a new one"),
        Receipt(Channel.EMAIL, ok=True, detail="taken"),
    ]
    assert ledger.kept[*KEY, Channel.DINGTALK] == "confirmed: taken"
    assert ledger.kept[*KEY, Channel.SLACK].startswith("failed: Slack refused the message.")


def test_twice_the_same_message_is_sent_once_and_only_what_failed_again() -> None:
    ledger = Ledger()
    channels = [Fake(Channel.DINGTALK), Fake(Channel.SLACK, [NotificationError("no")])]
    notifier = Notifier(channels, ledger)
    assert [receipt.ok for receipt in notifier.send(bad_canary())] == [True, False]
    assert notifier.send(bad_canary()) == [
        Receipt(Channel.DINGTALK, ok=True, detail="sent before, or being sent by somebody else"),
        Receipt(Channel.SLACK, ok=True, detail="taken"),
    ]
    assert [len(channel.taken) for channel in channels] == [1, 1]


def test_what_may_pass_is_tried_again_within_the_bound() -> None:
    channel = Fake(Channel.SLACK, [TemporaryError("not now"), TemporaryError("not now", retry_after_s=0.4)])
    began = time.monotonic()
    receipts = Notifier([channel], Ledger()).send(bad_canary())
    assert receipts == [Receipt(Channel.SLACK, ok=True, detail="taken at attempt 3")]
    assert time.monotonic() - began >= 0.3 + 0.6


def test_a_wait_that_does_not_fit_the_bound_is_not_begun() -> None:
    channel = Fake(Channel.SLACK, [TemporaryError("not now.", mend="wait", retry_after_s=60)])
    began = time.monotonic()
    receipts = Notifier([channel], Ledger()).send(bad_canary())
    assert receipts == [
        Receipt(Channel.SLACK, ok=False, detail="not now. Given up after 1 attempt.\n  do     wait"),
    ]
    assert time.monotonic() - began < 1


def test_what_is_refused_for_good_is_not_tried_again() -> None:
    channel = Fake(Channel.SLACK, [NotificationError("no"), NotificationError("never asked for")])
    Notifier([channel], Ledger()).send(bad_canary())
    assert [str(error) for error in channel.errors] == ["never asked for"]


def test_a_channel_that_hangs_is_left_and_writes_its_receipt_later(go_on: threading.Event) -> None:
    ledger = Ledger()
    alive = Fake(Channel.EMAIL)
    began = time.monotonic()
    receipts = Notifier([Hanging(Channel.SLACK, go_on), alive], ledger, bound_s=0.5, ledger_s=0.1).send(bad_canary())
    assert time.monotonic() - began < 1.5
    assert receipts == [
        Receipt(
            Channel.SLACK,
            ok=False,
            detail="no answer within 500 ms; it may still arrive\n"
            "  do     nothing: the next send after 1 min repeats it if no receipt was written",
        ),
        Receipt(Channel.EMAIL, ok=True, detail="taken"),
    ]
    assert ledger.kept[*KEY, Channel.SLACK] == "claimed"
    running = [thread for thread in threading.enumerate() if thread.name == "slipway-notification"]
    assert running
    assert all(thread.daemon for thread in running)
    go_on.set()
    for thread in running:
        thread.join(5)
    assert ledger.kept[*KEY, Channel.SLACK] == "confirmed: taken late"


def test_an_alert_goes_out_without_the_ledger() -> None:
    class Dead(Ledger):
        def claim_notification(self, *_: object) -> bool:
            raise LedgerError("the ledger is down")

        def confirm_notification(self, *_: object) -> None:
            raise LedgerError("the ledger is down")

    channel = Fake(Channel.SLACK)
    assert Notifier([channel], Dead()).send(bad_canary()) == [
        Receipt(
            Channel.SLACK,
            ok=True,
            detail="taken; sent without a claim, so perhaps twice (ledger: LedgerError); "
            "the receipt was not written (ledger: LedgerError)",
        )
    ]
    assert len(channel.taken) == 1


def test_a_ledger_that_hangs_holds_no_alert_up(go_on: threading.Event) -> None:
    class Slow(Ledger):
        def claim_notification(self, *_: object) -> bool:
            return go_on.wait(30)

    channel = Fake(Channel.SLACK)
    receipts = Notifier([channel], Slow(), bound_s=2, ledger_s=0.2).send(bad_canary())
    assert receipts[0].ok
    assert receipts[0].detail == "taken; sent without a claim, so perhaps twice (ledger: TimeoutError)"


def test_an_unknown_error_shows_its_type_and_not_its_words() -> None:
    channel = Fake(Channel.SLACK, [RuntimeError("POST https://hooks.slack.com/services/T0/B0/hunter2")])
    receipts = Notifier([channel], Ledger()).send(bad_canary())
    assert receipts == [Receipt(Channel.SLACK, ok=False, detail="a mistake in slipway: RuntimeError")]


def test_of_many_senders_at_once_one_sends() -> None:
    ledger, channel = Ledger(), Fake(Channel.SLACK)
    threads = [threading.Thread(target=Notifier([channel], ledger).send, args=(bad_canary(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(channel.taken) == 1
