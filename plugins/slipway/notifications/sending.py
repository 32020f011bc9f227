"""A message to every channel, each by itself, once, and within seconds.

Exactly once is impossible: the channel takes a message and the receipt is written in two different systems, and a
process can die between the two. Whoever comes after cannot know whether the message went out. Either it sends again
(at least once) or it does not (at most once), and at 3 a.m. two alerts are better than none. So a message is claimed,
sent, confirmed: a confirmed one is never sent again, a failed one at once, and one that was claimed and never
confirmed after a while (:data:`CLAIM_S`). E-mails carry the same Message-ID, so that even this repeat is known as one.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from slipway.errors import NotificationError, SlipwayError
from slipway.notifications.dingtalk import DingTalk
from slipway.notifications.email import Email
from slipway.notifications.failures import TemporaryError
from slipway.notifications.settings import DingTalkSettings, SlackSettings
from slipway.notifications.slack import Slack
from slipway.notifications.text import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slipway.names import Channel, Occasion
    from slipway.notifications.message import Message
    from slipway.notifications.settings import EmailSettings

log = logging.getLogger(__name__)
Result = TypeVar("Result")

BOUND_S = 8.0
"""All channels together take no longer: a failure callback of Airflow has ten seconds in our design."""
CLAIM_S = 60.0
"""After so many seconds a claim that was neither confirmed nor failed may be taken over: far longer than a message
lasts, and short enough that the watchdog's next rounds send it."""
LEDGER_S = 1.5
"""The ledger gets so long to answer a claim, and again for the receipt; an alert does not wait for a database."""
FIRST_WAIT_S = 0.3
"""The wait after the first failed attempt; it doubles each time."""
SHORTEST_ATTEMPT_S = 0.2


class Receipts(Protocol):
    """What the ledger does for notifications. It is called from several threads at once.

    A claim is per release, occasion and channel. It succeeds when there is none, when the last one failed, or when
    the last one is older than :data:`CLAIM_S` and neither confirmed nor failed; two claims at once: one succeeds.
    """

    def claim_notification(self, release_id: str, occasion: Occasion, channel: Channel) -> bool:
        """Take the right to send; False when it was sent, or somebody is sending it now."""

    def confirm_notification(self, release_id: str, occasion: Occasion, channel: Channel, detail: str) -> None:
        """Keep that the channel took the message."""

    def fail_notification(self, release_id: str, occasion: Occasion, channel: Channel, error: str) -> None:
        """Keep that the channel did not take the message, and free the claim."""


class Sender(Protocol):
    """One channel."""

    @property
    def channel(self) -> Channel:
        """Which one it is."""

    def send(self, message: Message, timeout_s: float) -> str:
        """Send one message and return how it went in a few words.

        :param timeout_s: for each step on the network.
        :raises TemporaryError: another attempt may help.
        :raises NotificationError: another attempt will not help.
        """


@dataclass(frozen=True)
class Receipt:
    """What became of a message on one channel.

    :param ok: whether the channel has it: taken now, or before.
    :param detail: what happened, without anything secret; for a failure with what to do.
    """

    channel: Channel
    ok: bool
    detail: str


def sender(settings: DingTalkSettings | SlackSettings | EmailSettings) -> Sender:
    """Return what sends to a channel."""
    if isinstance(settings, DingTalkSettings):
        return DingTalk(settings)
    return Slack(settings) if isinstance(settings, SlackSettings) else Email(settings)


class Notifier:
    """Sends a message to every channel.

    :param channels: where to; several of one kind share their claims, so give one of each.
    :param receipts: remembers what was sent.
    :param bound_s: seconds after which :meth:`send` returns, whatever the channels do.
    :param ledger_s: of these, what the ledger may take for a claim, and again for a receipt.
    """

    def __init__(
        self,
        channels: Sequence[Sender],
        receipts: Receipts,
        *,
        bound_s: float = BOUND_S,
        ledger_s: float = LEDGER_S,
    ) -> None:
        self._channels = tuple(channels)
        self._receipts = receipts
        self._bound_s = bound_s
        self._ledger_s = ledger_s

    def send(self, message: Message) -> list[Receipt]:
        """Send one message to all channels at the same time and return what became of it, in the channels' order.

        It raises nothing and returns within the bound. A channel that is still busy then goes on in a daemon thread
        and writes its own receipt; when the process ends first, the claim runs out and the next send takes it over.
        Not for an event loop: there, ``await asyncio.to_thread(notifier.send, message)``.
        """
        deadline = time.monotonic() + self._bound_s
        deliveries = [
            _Delivery(channel, self._receipts, message, deadline, self._ledger_s) for channel in self._channels
        ]
        running = [_Background(delivery.run) for delivery in deliveries]
        receipts = [
            self._receipt(one.channel, background, deadline)
            for one, background in zip(self._channels, running, strict=True)
        ]
        for receipt in receipts:
            level = logging.INFO if receipt.ok else logging.ERROR
            log.log(level, "%s of %s on %s: %s", message.occasion, message.release.id, receipt.channel, receipt.detail)
        return receipts

    def _receipt(self, channel: Channel, background: _Background[Receipt], deadline: float) -> Receipt:
        try:
            return background.result(deadline - time.monotonic())
        except TimeoutError:  # _Delivery.run itself raises nothing
            detail = (
                f"no answer within {duration(self._bound_s)}; it may still arrive\n"
                f"  do     nothing: the next send after {duration(CLAIM_S)} repeats it if no receipt was written"
            )
            return Receipt(channel, ok=False, detail=detail)


class _Delivery:
    """One message on its way to one channel."""

    def __init__(self, sender: Sender, receipts: Receipts, message: Message, deadline: float, ledger_s: float) -> None:
        self._sender = sender
        self._receipts = receipts
        self._message = message
        self._ledger_s = ledger_s
        # The receipt is written within the bound too.
        self._last_attempt = deadline - ledger_s
        self._key = (message.release.id, message.occasion, sender.channel)

    def run(self) -> Receipt:
        """Claim, send with retries, and write the receipt."""
        claimed, doubt = self._claim()
        if not claimed:
            return self._receipt("sent before, or being sent by somebody else", ok=True)
        try:
            detail = self._send()
        except Exception as error:  # noqa: BLE001 - whatever a channel does, the others and the caller go on
            known = isinstance(error, SlipwayError)
            # The words of an unknown error may hold an address with a token; its type is enough to find it.
            words = str(error) if known else f"a mistake in slipway: {type(error).__name__}"
            kept = self._keep(self._receipts.fail_notification, words)
            return self._receipt(words + doubt + kept, ok=False)
        kept = self._keep(self._receipts.confirm_notification, detail)
        return self._receipt(detail + doubt + kept, ok=True)

    def _claim(self) -> tuple[bool, str]:
        """Return whether to send, and what to add to the receipt when the ledger did not say."""
        try:
            return _Background(lambda: self._receipts.claim_notification(*self._key)).result(self._ledger_s), ""
        except Exception as error:  # noqa: BLE001 - an alert about a broken cluster must not need a healthy ledger
            return True, f"; sent without a claim, so perhaps twice (ledger: {type(error).__name__})"

    def _keep(self, write: Callable[[str, Occasion, Channel, str], None], detail: str) -> str:
        """Write the receipt, and return what to add to it when that failed."""
        try:
            _Background(lambda: write(*self._key, detail)).result(self._ledger_s)
        except Exception as error:  # noqa: BLE001 - the message went its way whatever the ledger does
            return f"; the receipt was not written (ledger: {type(error).__name__})"
        return ""

    def _send(self) -> str:
        """Try until the channel takes the message, refuses it for good, or the time is up.

        :raises NotificationError: the last refusal.
        """
        wait_s = FIRST_WAIT_S
        attempt = 1
        while True:
            try:
                remaining_s = max(self._last_attempt - time.monotonic(), SHORTEST_ATTEMPT_S)
                detail = self._sender.send(self._message, remaining_s)
            except TemporaryError as error:
                pause_s = max(wait_s, error.retry_after_s)
                if time.monotonic() + pause_s + SHORTEST_ATTEMPT_S > self._last_attempt:
                    raise self._given_up(error, attempt) from None
                time.sleep(pause_s)
                wait_s *= 2
                attempt += 1
            else:
                return detail if attempt == 1 else f"{detail} at attempt {attempt}"

    @staticmethod
    def _given_up(error: TemporaryError, attempts: int) -> NotificationError:
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        return NotificationError(f"{error.what} Given up after {times}.", found=error.found, mend=error.mend)

    def _receipt(self, detail: str, *, ok: bool) -> Receipt:
        return Receipt(self._sender.channel, ok=ok, detail=detail)


class _Background(Generic[Result]):
    """A call in a daemon thread: one that hangs keeps neither the caller nor the end of the process waiting.

    The pools of concurrent.futures would wait for their threads when the interpreter ends.
    """

    def __init__(self, call: Callable[[], Result]) -> None:
        self._future: Future[Result] = Future()
        threading.Thread(target=self._run, args=(call,), name="slipway-notification", daemon=True).start()

    def _run(self, call: Callable[[], Result]) -> None:
        try:
            self._future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._future.set_exception(error)

    def result(self, timeout_s: float) -> Result:
        """Return what the call returned, or raise what it raised.

        :raises TimeoutError: it has not ended after ``timeout_s`` seconds.
        """
        return self._future.result(max(timeout_s, 0))
