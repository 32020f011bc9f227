"""A DingTalk custom robot: signed, checked by its errcode, with a token that shows nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from slipway.errors import NotificationError
from slipway.names import Channel
from slipway.notifications import render, web
from slipway.notifications.failures import TemporaryError
from slipway.notifications.text import line

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.notifications.message import Message
    from slipway.notifications.settings import DingTalkSettings

# The numbers are from DingTalk's page on custom robots; programs read errcode, because the words change.
TOO_FAST = frozenset({130101, 410100, 660026})
"""More than 20 messages a minute; the robot may then be silent for ten minutes."""
BUSY = -1
REFUSED = 310000
MENDS = {
    REFUSED: (
        "compare the secret (SEC...) in the connection with the robot's security settings, and this machine's clock "
        "with the true time (one hour at most); a robot with keywords needs one of them in the text"
    ),
    300001: "the access_token belongs to no robot: copy it again from the robot's webhook",
    300005: "the access_token belongs to no robot: copy it again from the robot's webhook",
    400101: "the access_token belongs to no robot: copy it again from the robot's webhook",
    400102: "the robot is switched off: switch it on in the group's settings",
    400106: "the robot was removed from the group: add one and store its token and secret",
    400013: "the group was dissolved: add a robot to another one",
    460101: "the message is longer than 20,000 bytes",
}
FIRST_WAIT_TOO_FAST_S = 1.5
"""Being too fast does not pass in a moment, so the back-off begins longer than after a broken connection."""


def sign(secret: str, timestamp_ms: int) -> str:
    """Return the signature of a moment, before the URL encoding.

    HMAC-SHA256 with the secret as the key over the timestamp, a newline and the secret, in base64.
    """
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class DingTalk:
    """Sends to one robot.

    :param clock: seconds since the epoch; the signature holds them.
    """

    channel = Channel.DINGTALK

    def __init__(self, settings: DingTalkSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock

    def send(self, message: Message, timeout_s: float) -> str:
        """Send one message and return how it went in a few words.

        :raises TemporaryError: another attempt may help.
        :raises NotificationError: another attempt will not help.
        """
        payload = render.dingtalk(message, at_all_on_failure=self._settings.at_all_on_failure)
        answer = web.post(self._url(), render.encode(payload), service="DingTalk", timeout_s=timeout_s)
        if answer.status != 200:
            raise _bad_status(answer)
        code, words = _errcode(answer.text)
        if code == 0:
            return "taken by the robot"
        found = self._masked(f"errcode {code} {words}")
        if code in TOO_FAST or code == BUSY:
            raise TemporaryError(
                "DingTalk did not take the message now.",
                found=found,
                mend="more than 20 messages a minute silence a robot for ten minutes: give slipway one of its own",
                retry_after_s=FIRST_WAIT_TOO_FAST_S if code in TOO_FAST else 0,
            )
        raise NotificationError(
            "DingTalk refused the message.",
            found=found,
            mend=MENDS.get(code, "look the errcode up in DingTalk's page on custom robots"),
        )

    def _url(self) -> str:
        query = {"access_token": self._settings.token.get_secret_value()}
        if self._settings.secret is not None:
            now_ms = round(self._clock() * 1000)
            query |= {"timestamp": str(now_ms), "sign": sign(self._settings.secret.get_secret_value(), now_ms)}
        return f"{self._settings.base}/robot/send?{urlencode(query)}"

    def _masked(self, words: str) -> str:
        for secret in (self._settings.token, self._settings.secret):
            if secret is not None:
                words = words.replace(secret.get_secret_value(), "***")
        return words


def _errcode(text: str) -> tuple[int, str]:
    try:
        body = json.loads(text)
        return int(body["errcode"]), line(body.get("errmsg", ""), 200)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise TemporaryError(
            "DingTalk answered with something that is not its own.",
            found="HTTP 200 without an errcode",
            mend="look for a proxy or a login page between this machine and DingTalk",
        ) from None


def _bad_status(answer: web.Answer) -> NotificationError:
    kind = TemporaryError if answer.status >= 500 or answer.status == 429 else NotificationError
    error = kind(
        "DingTalk's server did not take the message.",
        found=f"HTTP {answer.status}",
        mend="check the host of the connection" if answer.status < 500 else "wait; if it stays, ask DingTalk's status",
    )
    if isinstance(error, TemporaryError):
        error.retry_after_s = answer.retry_after_s
    return error
