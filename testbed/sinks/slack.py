"""The rules of a Slack incoming webhook, as pure code: time comes in, an answer goes out.

Where a rule comes from is said beside it. [webhooks], [limits], [blocks] are Slack's pages "Sending messages
using incoming webhooks", "Rate limits" and the Block Kit reference, which every limit on blocks here is from;
[seen] is an answer of the real server that people published in issue trackers. Unlike the Web API, a webhook
answers with an HTTP status and one word of plain text.
"""

from __future__ import annotations

import math
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed.sinks.message import first_line
from testbed.sinks.payload import json_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

SECONDS_A_MESSAGE = 1.0
BURST = 5
"""[limits] "1 per second, short bursts >1 allowed" without a number; people have measured more than this."""
LONGEST_TEXT = 40_000
LONGEST_BLOCKS = 13_200
"""[seen] msg_blocks_too_long above about 13,200 characters in all blocks together, though no page says so."""
MOST_BLOCKS = 50
MOST_ATTACHMENTS = 100
LONGEST_HEADER = 150
LONGEST_SECTION = 3_000
MOST_FIELDS = 10
LONGEST_FIELD = 2_000
MOST_CONTEXT_ELEMENTS = 10
MOST_ACTIONS = 25
LONGEST_MARKDOWN = 12_000
LONGEST_BLOCK_ID = 255


@dataclass(frozen=True)
class Answer:
    """A response.

    :param status: the HTTP status.
    :param text: the body: "ok", or the reason in one word.
    :param retry_after_s: the Retry-After header of a 429.
    """

    status: int
    text: str
    retry_after_s: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the message was posted."""
        return self.status == 200


OK = Answer(200, "ok")
INVALID_PAYLOAD = Answer(400, "invalid_payload")  # [webhooks]
NO_TEXT = Answer(400, "no_text")  # [webhooks]
INVALID_BLOCKS = Answer(400, "invalid_blocks")  # [seen]
BLOCKS_TOO_LONG = Answer(400, "msg_blocks_too_long")  # [seen]
TOO_LONG = Answer(400, "too_long")
TOO_MANY_ATTACHMENTS = Answer(400, "too_many_attachments")  # [webhooks]
INVALID_TOKEN = Answer(403, "invalid_token")  # [webhooks]
NO_SERVICE = Answer(404, "no_service")  # [webhooks]
CHANNEL_NOT_FOUND = Answer(404, "channel_not_found")  # [webhooks]


@dataclass(frozen=True)
class Request:
    """A call of ``/services/TEAM/SERVICE/TOKEN``."""

    team: str
    service: str
    token: str = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)


def parse(content_type: str, body: bytes) -> dict[str, Any] | None:
    """Return the payload, or None when it is no JSON object.

    [webhooks] It comes as JSON, or as a form with the JSON in ``payload``.
    """
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return json_object(body)
    try:
        form = urllib.parse.parse_qs(body.decode(), strict_parsing=True, max_num_fields=10)
    except ValueError:
        return None
    return json_object(form.get("payload", [""])[0])


def check_payload(payload: Mapping[str, Any]) -> Answer:
    """Say whether Slack would post the message."""
    text, blocks, attachments = (payload.get(name) for name in ("text", "blocks", "attachments"))
    if not isinstance(text, str | None) or not isinstance(attachments, list | None):
        return INVALID_PAYLOAD
    if not (text or blocks or attachments):
        return NO_TEXT
    if len(text or "") > LONGEST_TEXT:
        return TOO_LONG
    if len(attachments or []) > MOST_ATTACHMENTS:
        return TOO_MANY_ATTACHMENTS
    for group in [blocks, *(part.get("blocks") for part in _objects(attachments))]:
        answer = OK if group is None else check_blocks(group)
        if not answer.ok:
            return answer
    return OK


def check_blocks(blocks: object) -> Answer:
    """Say whether Slack would draw the blocks: kinds, numbers and lengths, each and together."""
    if not isinstance(blocks, list) or len(blocks) > MOST_BLOCKS or not all(map(_is_block, blocks)):
        return INVALID_BLOCKS
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        return INVALID_BLOCKS  # [blocks] an id is unique within its message
    length = sum(len(text) for block in blocks for text in _texts(block))
    return BLOCKS_TOO_LONG if length > LONGEST_BLOCKS else OK


def _is_block(block: object) -> bool:
    if not isinstance(block, dict):
        return False
    name, kind = block.get("block_id", ""), block.get("type")
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    return isinstance(name, str) and len(name) <= LONGEST_BLOCK_ID and known is not None and known(block)


def _is_text(value: object, longest: int, kinds: Collection[str] = ("plain_text", "mrkdwn")) -> bool:
    # [blocks] A text object has one of two types and at least one character.
    if not isinstance(value, dict) or value.get("type") not in kinds:
        return False
    text = value.get("text")
    return isinstance(text, str) and 1 <= len(text) <= longest


def _is_header(block: Mapping[str, Any]) -> bool:
    return _is_text(block.get("text"), LONGEST_HEADER, ("plain_text",))


def _is_section(block: Mapping[str, Any]) -> bool:
    text, fields = block.get("text"), block.get("fields")
    if text is None and fields is None:
        return False
    if text is not None and not _is_text(text, LONGEST_SECTION):
        return False
    return fields is None or (
        isinstance(fields, list)
        and 1 <= len(fields) <= MOST_FIELDS
        and all(_is_text(one, LONGEST_FIELD) for one in fields)
    )


def _is_context(block: Mapping[str, Any]) -> bool:
    elements = block.get("elements")
    return (
        isinstance(elements, list)
        and 1 <= len(elements) <= MOST_CONTEXT_ELEMENTS
        and all(_is_text(one, LONGEST_SECTION) or _is_image(one) for one in elements)
    )


def _is_image(block: object) -> bool:
    if not isinstance(block, dict) or block.get("type") != "image":
        return False
    alt, url = block.get("alt_text"), block.get("image_url") or block.get("slack_file")
    return isinstance(alt, str) and 1 <= len(alt) <= LONGEST_FIELD and bool(url)


def _is_actions(block: Mapping[str, Any]) -> bool:
    elements = block.get("elements")
    return isinstance(elements, list) and 1 <= len(elements) <= MOST_ACTIONS


def _is_rich_text(block: Mapping[str, Any]) -> bool:
    return isinstance(block.get("elements"), list)


def _is_markdown(block: Mapping[str, Any]) -> bool:
    text = block.get("text")
    return isinstance(text, str) and 1 <= len(text) <= LONGEST_MARKDOWN


def _is_divider(block: Mapping[str, Any]) -> bool:
    return bool(block)


_KINDS = {
    "header": _is_header,
    "section": _is_section,
    "context": _is_context,
    "image": _is_image,
    "actions": _is_actions,
    "divider": _is_divider,
    "markdown": _is_markdown,
    "rich_text": _is_rich_text,
}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(block: Mapping[str, Any]) -> Iterator[str]:
    """Yield every text of a block in reading order."""
    text = block.get("text")
    if isinstance(text, str):
        yield text
    elif isinstance(text, dict):
        yield from _texts(text)
    for name in ("fields", "elements"):
        for one in _objects(block.get(name)):
            yield from _texts(one)


def read(payload: object) -> tuple[str, str]:
    """Return title and text as a person sees them: the header or the first line, and all that is readable."""
    if not isinstance(payload, dict):
        return "", ""
    blocks = _objects(payload.get("blocks"))
    lines = [text for block in blocks for text in _texts(block)]
    if not lines and isinstance(payload.get("text"), str):
        lines = [payload["text"]]  # [webhooks] beside blocks, text is only what a notification shows
    for part in _objects(payload.get("attachments")):
        lines += _attachment_lines(part)
    header = next((text for block in blocks if block.get("type") == "header" for text in _texts(block)), "")
    text = "\n".join(line for line in lines if line)
    return header or first_line(text or str(payload.get("text") or "")), text


def _attachment_lines(part: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(part[name]) for name in ("pretext", "title", "title_link", "text") if part.get(name))
    for row in _objects(part.get("fields")):
        yield f"{row.get('title', '')}: {row.get('value', '')}"
    for block in _objects(part.get("blocks")):
        yield from _texts(block)
    if not part.get("text") and part.get("fallback"):
        yield str(part["fallback"])


class Pace:
    """[limits] One message a second and webhook, with a small burst.

    Kept as the moment at which the webhook will have caught up: each message moves it by a second, and a
    message is refused when that moment lies further ahead than the burst allows. Refused ones move nothing.
    """

    def __init__(self) -> None:
        self._caught_up: dict[str, float] = {}

    def wait_s(self, webhook: str, now_s: float) -> int:
        """Count one message. Return 0 when it may go, else the whole seconds until one may."""
        caught_up = max(self._caught_up.get(webhook, now_s), now_s)
        ahead_s = caught_up - now_s - (BURST - 1) * SECONDS_A_MESSAGE
        if ahead_s > 0:
            return math.ceil(ahead_s)
        self._caught_up[webhook] = caught_up + SECONDS_A_MESSAGE
        return 0


class Webhooks:
    """The webhooks of a workspace: the whole decision about a request.

    :param webhooks: each as TEAM/SERVICE/TOKEN.
    :param channels: the channels that exist, with their ``#``; the first gets the messages that name none.
    """

    def __init__(self, webhooks: Collection[str], channels: Collection[str]) -> None:
        self._tokens = {webhook.rpartition("/")[0]: webhook.rpartition("/")[2] for webhook in webhooks}
        self._channels = list(channels)
        self._pace = Pace()

    def channel(self, payload: object) -> str:
        """Return where a payload goes. Webhooks of the old kind may name a channel; ``#`` may be left out."""
        named = payload.get("channel") if isinstance(payload, dict) else None
        if not named:
            return self._channels[0]
        return str(named) if str(named)[0] in "#@" else f"#{named}"

    def judge(self, request: Request, now_s: float) -> Answer:
        """Answer a request: the address, then the pace, then the payload.

        :param now_s: seconds on a clock that does not run backwards.
        """
        token = self._tokens.get(f"{request.team}/{request.service}")
        if token is None:
            return NO_SERVICE
        if request.token != token:
            return INVALID_TOKEN
        wait_s = self._pace.wait_s(f"{request.team}/{request.service}", now_s)
        if wait_s:
            return Answer(429, "rate_limited", wait_s)
        payload = parse(request.content_type, request.body)
        if payload is None:
            return INVALID_PAYLOAD
        if self.channel(payload) not in self._channels:
            return CHANNEL_NOT_FOUND
        return check_payload(payload)
