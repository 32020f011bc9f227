"""A message as DingTalk markdown, as Slack blocks and as an e-mail. Pure: no channel is spoken to here.

The order is the same everywhere: the news, why, the numbers, what happens next, the rest, the links. What does not
fit a channel is left out from the end of the rest, and the message says so.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.names import Occasion
from slipway.notifications.message import BAD_NEWS, NEEDS_A_PERSON
from slipway.notifications.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slipway.notifications.message import Comparison, Fact, Link, Message

LONGEST_DINGTALK_BYTES = 20_000
"""DingTalk refuses a longer body with 460101; the whole JSON counts."""
LONGEST_DINGTALK_TITLE = 100
LONGEST_SLACK_HEADER = 150
LONGEST_SLACK_TEXT = 3_000
LONGEST_SLACK_FIELD = 2_000
MOST_SLACK_BLOCKS = 50
LONGEST_SLACK_BLOCKS = 13_000
"""Slack answers msg_blocks_too_long above about 13,200 characters in all blocks, though its pages do not say so."""
LONGEST_SUBJECT = 200

LEFT_OUT = "Some lines are left out here; the dossier has them all."

MARKS = {
    Occasion.STARTED: "🚀",
    Occasion.APPROVAL_WANTED: "✋",
    Occasion.PROMOTED: "✅",
    Occasion.ABORTED: "⛔",
    Occasion.ROLLBACK_FINISHED: "↩️",
    Occasion.ROLLBACK_FAILED: "🆘",
}
TAGS = {
    Occasion.STARTED: "started",
    Occasion.APPROVAL_WANTED: "approval wanted",
    Occasion.PROMOTED: "promoted",
    Occasion.ABORTED: "STOPPED",
    Occasion.ROLLBACK_FINISHED: "rolled back",
    Occasion.ROLLBACK_FAILED: "ROLLBACK FAILED",
}
COLOURS = {
    Occasion.STARTED: "#1d4ed8",
    Occasion.APPROVAL_WANTED: "#b45309",
    Occasion.PROMOTED: "#15803d",
    Occasion.ABORTED: "#b91c1c",
    Occasion.ROLLBACK_FINISHED: "#15803d",
    Occasion.ROLLBACK_FAILED: "#b91c1c",
}
BACKTICK_LOOKALIKE = "\N{MODIFIER LETTER APOSTROPHE}"
COLUMNS = ("", "Canary", "Stable", "Limit")


def encode(payload: dict[str, Any]) -> bytes:
    """Return the JSON of a payload as it goes over the wire."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _less_and_less(message: Message) -> Iterator[tuple[Sequence[Fact], Sequence[Link]]]:
    """Yield what may be left out of a message that is too long: the rest from its end, then the links."""
    rows, links = message.rows(), message.links
    yield from ((rows[:kept], links) for kept in range(len(rows), 0, -1))
    yield from (((), links[:kept]) for kept in range(len(links), -1, -1))


def _is_less(message: Message, rows: Sequence[Fact], links: Sequence[Link]) -> bool:
    return len(rows) < len(message.rows()) or len(links) < len(message.links)


# --- DingTalk ----------------------------------------------------------------------------------------------------


def dingtalk(message: Message, *, at_all_on_failure: bool = False) -> dict[str, Any]:
    """Return the payload of a DingTalk custom robot.

    :param at_all_on_failure: whether everybody in the group is called when a release is stopped or a person has to
        act at once.
    """
    for rows, links in _less_and_less(message):
        payload = _dingtalk(message, rows, links)
        if at_all_on_failure and message.occasion in BAD_NEWS:
            payload["at"] = {"isAtAll": True}
        if len(encode(payload)) <= LONGEST_DINGTALK_BYTES:
            break
    return payload


def _dingtalk(message: Message, rows: Sequence[Fact], links: Sequence[Link]) -> dict[str, Any]:
    parts = [f"### {MARKS[message.occasion]} {_marked(message.headline)}"]
    if message.reason:
        parts.append("  \n".join(f"> {_marked(row)}" for row in message.reason.splitlines()))
    # DingTalk draws no tables.
    parts += [_dingtalk_comparison(comparison) for comparison in message.comparisons]
    parts.append(f"**What happens next**\n{_marked(message.next_step)}".replace("\n", "  \n"))
    if rows:
        parts.append("\n".join(f"- **{_marked(row.label)}**: {_marked(row.value)}" for row in rows))
    if _is_less(message, rows, links):
        parts.append(LEFT_OUT)
    if links:
        parts.append(" · ".join(f"[{_marked(link.label)}]({link.url})" for link in links))
    title = cut(f"{TAGS[message.occasion]}: {message.headline}", LONGEST_DINGTALK_TITLE)
    return {"msgtype": "markdown", "markdown": {"title": title, "text": "\n\n".join(parts)}}


def _dingtalk_comparison(comparison: Comparison) -> str:
    label, canary, stable, limit = map(_marked, comparison.cells())
    return f"**{label}**: canary **{canary}**, stable {stable}" + (f", limit {limit}" if limit else "")


# DingTalk documents no escape in its markdown, and a client that knows none would show the backslashes. So what makes
# markup of foreign words (an image that is fetched, a link with another name, HTML) becomes a character that looks
# the same and means nothing.
_DINGTALK_LOOKALIKES = str.maketrans(
    {
        "<": "\N{FULLWIDTH LESS-THAN SIGN}",
        ">": "\N{FULLWIDTH GREATER-THAN SIGN}",
        "[": "\N{FULLWIDTH LEFT SQUARE BRACKET}",
        "]": "\N{FULLWIDTH RIGHT SQUARE BRACKET}",
        "*": "\N{ASTERISK OPERATOR}",
        "`": BACKTICK_LOOKALIKE,
    }
)


def _marked(text: str) -> str:
    return text.translate(_DINGTALK_LOOKALIKES)


# --- Slack -------------------------------------------------------------------------------------------------------


def slack(message: Message) -> dict[str, Any]:
    """Return the payload of a Slack incoming webhook: blocks, and the text that a phone shows."""
    for rows, links in _less_and_less(message):
        blocks = _slack_blocks(message, rows, links)
        if len(blocks) <= MOST_SLACK_BLOCKS and _letters(blocks) <= LONGEST_SLACK_BLOCKS:
            break
    return {"text": _slack_text(f"{TAGS[message.occasion]}: {message.headline}"), "blocks": blocks}


def _slack_blocks(message: Message, rows: Sequence[Fact], links: Sequence[Link]) -> list[dict[str, Any]]:
    headline = cut(f"{MARKS[message.occasion]} {message.headline}", LONGEST_SLACK_HEADER)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": headline, "emoji": True}}]
    if message.reason:
        quoted = "\n".join(f">{row}" for row in _slack_text(message.reason).splitlines())
        blocks.append(_section(quoted))
    if message.comparisons:
        table = _slack_text(_table(message.comparisons)).replace("`", BACKTICK_LOOKALIKE)
        blocks.append(_section(f"```{cut(table, LONGEST_SLACK_TEXT - 6)}```"))
    blocks.append(_section(f"*What happens next*\n{_slack_text(message.next_step)}"))
    blocks += [
        {
            "type": "section",
            "fields": [_mrkdwn(_slack_field(row), LONGEST_SLACK_FIELD) for row in rows[first : first + 10]],
        }
        for first in range(0, len(rows), 10)  # a section has ten fields at most
    ]
    if _is_less(message, rows, links):
        blocks.append(_section(LEFT_OUT))
    return blocks + [_section(text) for text in map(_slack_link, links) if len(text) <= LONGEST_SLACK_TEXT]


def _slack_link(link: Link) -> str:
    return f"<{_slack_text(link.url)}|{_slack_text(link.label)}>"


def _slack_field(row: Fact) -> str:
    return f"*{_slack_text(row.label)}*\n{_slack_text(row.value)}"


def _slack_text(text: str) -> str:
    # Slack asks for these three and no others; without it <!channel> in a commit message would call everybody.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str, limit: int = LONGEST_SLACK_TEXT) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": cut(text, limit)}


def _letters(value: object) -> int:
    """Count the characters of all texts in blocks."""
    if isinstance(value, dict):
        text = value.get("text")
        return sum(map(_letters, value.values())) + (len(text) if isinstance(text, str) else 0)
    return sum(map(_letters, value)) if isinstance(value, list) else 0


def _table(comparisons: Sequence[Comparison]) -> str:
    """Lay numbers out in columns for a font with letters of one width."""
    rows = [COLUMNS, *(comparison.cells() for comparison in comparisons)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


# --- e-mail ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mail:
    """What a person sees of an e-mail.

    :param subject: one line.
    :param urgent: whether it asks for attention at once.
    """

    subject: str
    text: str
    html: str
    urgent: bool


def mail(message: Message) -> Mail:
    """Return subject, plain text and HTML."""
    return Mail(
        subject=cut(f"[slipway] {TAGS[message.occasion]}: {message.headline}", LONGEST_SUBJECT),
        text=_plain(message),
        html=_html(message),
        urgent=message.occasion in BAD_NEWS | NEEDS_A_PERSON,
    )


def _plain(message: Message) -> str:
    parts = [message.headline]
    if message.reason:
        parts.append(message.reason)
    if message.comparisons:
        parts.append(_table(message.comparisons))
    parts.append(f"What happens next\n{message.next_step}")
    parts.append("\n".join(f"{row.label}: {row.value}" for row in message.rows()))
    if message.links:
        parts.append("\n".join(f"{link.label}: {link.url}" for link in message.links))
    return "\n\n".join(parts) + "\n"


# Mail programs drop style sheets, so every style stands in its element.
_PAGE = "margin:0;padding:24px 12px;background:#f3f4f6;font-family:Helvetica,Arial,sans-serif;color:#111827"
_CARD = "max-width:640px;margin:0 auto;background:#ffffff;border:1px solid #e5e7eb;border-top:6px solid {colour}"
_TAG = "margin:0 0 6px;font-size:12px;font-weight:bold;letter-spacing:1px;color:{colour}"
_CELL = "padding:6px 10px;border-bottom:1px solid #e5e7eb;font-size:14px;vertical-align:top"
_NUMBER = _CELL + ";text-align:right;white-space:nowrap"
_LABEL = _CELL + ";color:#4b5563;width:38%"
_NEXT = "margin:20px 0;padding:12px 14px;background:#f9fafb;border-left:4px solid {colour};font-size:14px"
_BUTTON = (
    "display:inline-block;margin:0 8px 8px 0;padding:9px 14px;background:{colour};color:#ffffff;"
    "font-size:14px;text-decoration:none"
)


def _html(message: Message) -> str:
    colour = COLOURS[message.occasion]
    parts = [
        f'<p style="{_TAG.format(colour=colour)}">{_escaped(TAGS[message.occasion].upper())}</p>',
        f'<h1 style="margin:0 0 14px;font-size:20px;line-height:1.3">{_escaped(message.headline)}</h1>',
    ]
    if message.reason:
        parts.append(f'<p style="margin:0 0 16px;font-size:15px;line-height:1.5">{_escaped(message.reason)}</p>')
    if message.comparisons:
        parts.append(_html_numbers(message.comparisons))
    parts.append(
        f'<div style="{_NEXT.format(colour=colour)}"><strong>What happens next</strong><br>'
        f"{_escaped(message.next_step)}</div>"
    )
    rows = "".join(
        f'<tr><td style="{_LABEL}">{_escaped(row.label)}</td><td style="{_CELL}">{_escaped(row.value)}</td></tr>'
        for row in message.rows()
    )
    parts.append(f'<table style="width:100%;border-collapse:collapse;margin:0 0 18px">{rows}</table>')
    parts += [
        f'<a href="{_escaped(link.url)}" style="{_BUTTON.format(colour=colour)}">{_escaped(link.label)}</a>'
        for link in message.links
    ]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{_escaped(message.headline)}</title></head>'
        f'<body style="{_PAGE}"><div style="{_CARD.format(colour=colour)}"><div style="padding:20px 22px">'
        f"{''.join(parts)}</div></div></body></html>"
    )


def _html_numbers(comparisons: Sequence[Comparison]) -> str:
    head = "".join(f'<th style="{_NUMBER};color:#4b5563">{name}</th>' for name in COLUMNS)
    body = "".join(_html_row(comparison) for comparison in comparisons)
    return f'<table style="width:100%;border-collapse:collapse"><tr>{head}</tr>{body}</table>'


def _html_row(comparison: Comparison) -> str:
    label, *numbers = map(_escaped, comparison.cells())
    cells = "".join(f'<td style="{_NUMBER}">{number}</td>' for number in numbers)
    return f'<tr><td style="{_CELL}">{label}</td>{cells}</tr>'


def _escaped(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")
