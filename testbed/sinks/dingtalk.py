"""The rules of a DingTalk custom robot, as pure code: time comes in, an answer goes out.

Where a rule comes from is said beside it. [doc] is DingTalk's page on custom robots (security settings,
message types, 20 messages a minute and then ten minutes of silence); [seen] is an answer of the real server
that people published in issue trackers. DingTalk answers with HTTP 200 whatever happened: only ``errcode``
tells.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testbed.sinks.message import first_line
from testbed.sinks.payload import json_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLOCK_TOLERANCE_MS = 3_600_000
"""[doc] The timestamp may be an hour away from the server's clock."""
MESSAGES_PER_WINDOW = 20
WINDOW_S = 60.0
PENALTY_S = 600.0
LONGEST_BODY_BYTES = 20_000
"""[seen] 460101 "message too long, exceed 20000 bytes"."""


@dataclass(frozen=True)
class Answer:
    """The body of a response.

    :param errcode: 0, or the reason as a number.
    :param errmsg: "ok", or the reason in words. These change over the years: programs must read ``errcode``.
    """

    errcode: int
    errmsg: str

    @property
    def ok(self) -> bool:
        """Whether the robot delivered the message."""
        return self.errcode == 0


OK = Answer(0, "ok")
NO_TOKEN = Answer(40035, "缺少参数 access_token")  # [seen]
NO_JSON = Answer(40035, "缺少参数 json")  # [doc], [seen] for a body that is empty or no JSON object
NOT_POST = Answer(43002, "需要POST请求")  # [seen]
NOT_JSON_TYPE = Answer(43004, "无效的HTTP HEADER Content-Type")  # [doc]
UNKNOWN_TOKEN = Answer(300005, "token is not exist")  # [seen] since 2024; 300001 with the same words before
BAD_SIGN = Answer(310000, "sign not match")  # [doc]
BAD_TIMESTAMP = Answer(310000, "invalid timestamp")  # [doc]
NO_KEYWORD = Answer(310000, "keywords not in content")  # [doc]
TOO_LONG = Answer(460101, f"message too long, exceed {LONGEST_BODY_BYTES} bytes")  # [seen]
TOO_FAST = Answer(130101, f"send too fast, exceed {MESSAGES_PER_WINDOW} times per minute")  # [seen]
BAD_MSGTYPE = Answer(400105, "unsupported msgtype")  # [doc]


def _bad_field(path: str) -> Answer:
    # [seen] 400402 for a markdown message without title; older servers said 40035 here too.
    return Answer(400402, f"param {path} is missing or has a wrong format")


@dataclass(frozen=True)
class Robot:
    """One custom robot of a group.

    :param secret: signs the requests; empty for a robot whose security setting is not the signature.
    :param keywords: when there are any, a message must hold one of them.
    """

    secret: str = field(repr=False)
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """A call of ``/robot/send``; query parameters are None when they are absent."""

    token: str | None
    timestamp: str | None
    sign: str | None
    content_type: str
    body: bytes = field(repr=False)


def sign(secret: str, timestamp_ms: int | str) -> str:
    """Compute the signature of a moment, before the URL encoding.

    [doc] base64 of HMAC-SHA256 with the secret as the key over the timestamp, a newline and the secret.
    """
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def check_signature(secret: str, timestamp: str | None, signature: str | None, now_s: float) -> Answer:
    """Say whether a request is from somebody who knows the secret, and is fresh.

    :param now_s: seconds since the epoch.
    """
    if timestamp is None or signature is None:
        return BAD_SIGN  # [seen] what a robot with a secret answers to an unsigned call
    # int() takes spaces, underscores and other scripts' digits; a long number would overflow the comparison.
    if not re.fullmatch(r"[0-9]{1,16}", timestamp) or abs(now_s * 1000 - int(timestamp)) > CLOCK_TOLERANCE_MS:
        return BAD_TIMESTAMP
    expected = sign(secret, timestamp)
    return OK if hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogatepass")) else BAD_SIGN


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


REQUIRED: Mapping[str, tuple[str, ...]] = {  # [doc]
    "text": ("content",),
    "link": ("title", "text", "messageUrl"),
    "markdown": ("title", "text"),
    "actionCard": ("title", "text"),
    "feedCard": (),
}


def check_payload(payload: Mapping[str, Any]) -> Answer:
    """Say whether the message is complete, by its msgtype."""
    kind = payload.get("msgtype")
    if not isinstance(kind, str) or kind not in REQUIRED:
        return BAD_MSGTYPE
    part = payload.get(kind)
    if not isinstance(part, dict):
        return _bad_field(kind)
    missing = next((name for name in REQUIRED[kind] if not _is_text(part.get(name))), None)
    if missing is not None:
        return _bad_field(f"{kind}.{missing}")
    if kind == "actionCard":
        return _check_action_card(part)
    if kind == "feedCard":
        return _check_rows(part, "feedCard.links", ("title", "messageURL", "picURL"))
    return _check_at(payload.get("at"))


def _check_action_card(card: Mapping[str, Any]) -> Answer:
    # [doc] One button for the whole card, or a list of buttons; singleTitle wins when both are there.
    if "singleTitle" in card or "singleURL" in card:
        missing = next((name for name in ("singleTitle", "singleURL") if not _is_text(card.get(name))), None)
        return OK if missing is None else _bad_field(f"actionCard.{missing}")
    return _check_rows(card, "actionCard.btns", ("title", "actionURL"))


def _check_rows(part: Mapping[str, Any], path: str, names: tuple[str, ...]) -> Answer:
    rows = part.get(path.rpartition(".")[2])
    if not isinstance(rows, list) or not rows:
        return _bad_field(path)
    for number, row in enumerate(rows):
        for name in names:
            if not isinstance(row, dict) or not _is_text(row.get(name)):
                return _bad_field(f"{path}[{number}].{name}")
    return OK


def _check_at(at: object) -> Answer:
    if at is None:
        return OK
    if not isinstance(at, dict):
        return _bad_field("at")
    for name in ("atMobiles", "atUserIds"):
        people = at.get(name) or []
        if not isinstance(people, list) or not all(isinstance(one, str | int) for one in people):
            return _bad_field(f"at.{name}")
    return OK if isinstance(at.get("isAtAll", False), bool) else _bad_field("at.isAtAll")


def read(payload: object) -> tuple[str, str]:
    """Return title and text as a person sees them; empty where the payload holds nothing of the kind."""
    part = payload.get(str(payload.get("msgtype"))) if isinstance(payload, dict) else None
    if not isinstance(part, dict):
        return "", ""
    text = "\n".join(_lines(part))
    return str(part.get("title") or "") or first_line(text), text


def _lines(part: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(part[name]) for name in ("content", "text") if part.get(name))
    if part.get("messageUrl"):
        yield str(part["messageUrl"])
    if part.get("singleTitle"):
        yield f"[{part['singleTitle']}] {part.get('singleURL', '')}"
    for row in _rows(part, "btns"):
        yield f"[{row.get('title', '')}] {row.get('actionURL', '')}"
    for row in _rows(part, "links"):
        yield f"{row.get('title', '')} {row.get('messageURL', '')}"


def _rows(part: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    rows = part.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


class Throttle:
    """[doc] 20 messages a minute and robot; one more, and the robot is silent for ten minutes.

    The minute is a sliding one: the page does not say how the server counts, and a sliding minute is the
    stricter reading. Only delivered messages count, because the page speaks of messages sent to the group.
    What is refused during the silence does not prolong it.
    """

    def __init__(self) -> None:
        self._sent: dict[str, deque[float]] = {}
        self._silent_until: dict[str, float] = {}

    def admit(self, token: str, now_s: float) -> bool:
        """Count one message, and say whether it may go.

        :param now_s: seconds on a clock that does not run backwards.
        """
        if now_s < self._silent_until.get(token, now_s):
            return False
        sent = self._sent.setdefault(token, deque())
        while sent and sent[0] <= now_s - WINDOW_S:
            sent.popleft()
        if len(sent) >= MESSAGES_PER_WINDOW:
            self._silent_until[token] = now_s + PENALTY_S
            return False
        sent.append(now_s)
        return True


class Robots:
    """The robots of a group chat: the whole decision about a request.

    :param robots: by token.
    """

    def __init__(self, robots: Mapping[str, Robot]) -> None:
        self._robots = dict(robots)
        self._throttle = Throttle()

    def judge(self, request: Request, now_s: float) -> Answer:
        """Answer a request. Who may send comes before what is sent; only a faultless message is counted.

        :param now_s: seconds since the epoch.
        """
        robot = self._robots.get(request.token or "")
        if robot is None:
            return UNKNOWN_TOKEN if request.token else NO_TOKEN
        if robot.secret:
            answer = check_signature(robot.secret, request.timestamp, request.sign, now_s)
            if not answer.ok:
                return answer
        answer = _check_content(request, robot)
        if answer.ok and not self._throttle.admit(request.token or "", now_s):
            return TOO_FAST
        return answer


def _check_content(request: Request, robot: Robot) -> Answer:
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        return NOT_JSON_TYPE
    if len(request.body) > LONGEST_BODY_BYTES:
        return TOO_LONG
    payload = json_object(request.body)
    if payload is None:
        return NO_JSON
    answer = check_payload(payload)
    if answer.ok and robot.keywords:
        content = "\n".join(read(payload))
        return OK if any(word in content for word in robot.keywords) else NO_KEYWORD
    return answer
