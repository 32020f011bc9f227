"""A Slack incoming webhook. Its whole address is the secret, and it shows nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.errors import NotificationError
from slipway.names import Channel
from slipway.notifications import render, web
from slipway.notifications.failures import TemporaryError
from slipway.notifications.text import line

if TYPE_CHECKING:
    from slipway.notifications.message import Message
    from slipway.notifications.settings import SlackSettings

# The words are from Slack's page "Sending messages using incoming webhooks".
MENDS = {
    "invalid_token": "the webhook's last part is wrong or was withdrawn: copy the address again from the app's page",
    "no_service": "the webhook is switched off or removed: make a new one and store its address",
    "no_team": "the webhook names no workspace: copy the address again from the app's page",
    "channel_not_found": "the channel of the webhook is gone: make a webhook for another one",
    "channel_is_archived": "the channel of the webhook is archived: make a webhook for another one",
    "action_prohibited": "an administrator restricts posting there: ask them, or choose another channel",
}


class Slack:
    """Sends to one webhook."""

    channel = Channel.SLACK

    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings

    def send(self, message: Message, timeout_s: float) -> str:
        """Send one message and return how it went in a few words.

        :raises TemporaryError: another attempt may help.
        :raises NotificationError: another attempt will not help.
        """
        url = self._settings.webhook.get_secret_value()
        answer = web.post(url, render.encode(render.slack(message)), service="Slack", timeout_s=timeout_s)
        if answer.status == 200:
            return "taken by the webhook"
        word = answer.text.strip()
        found = line(f"HTTP {answer.status} {word.replace(url, '***')}", 200)
        if answer.status == 429 or answer.status >= 500:
            raise TemporaryError(
                "Slack did not take the message now.",
                found=found,
                mend="wait; a webhook takes about one message a second",
                retry_after_s=answer.retry_after_s,
            )
        raise NotificationError(
            "Slack refused the message.",
            found=found,
            mend=MENDS.get(word, "look the word up in Slack's page on incoming webhooks"),
        )
