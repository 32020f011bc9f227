"""The mail server: takes every mail for everybody, and keeps what a person would read."""

from __future__ import annotations

import asyncio
import email
import email.policy
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP

from testbed.sinks.message import Channel, Draft, first_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from email.message import EmailMessage

    from aiosmtpd.smtp import Envelope, Session

    from testbed.sinks.reception import Reception

LONGEST_MAIL_BYTES = 10_000_000
QUEUED = "250 2.0.0 OK: queued as {id}"


def read(content: bytes, sender: str, recipients: Sequence[str]) -> Draft:
    """Take a mail apart. Whatever the content is, a draft comes out: a server cannot choose its mails.

    :param content: the mail as it came, headers and all.
    :param sender: of the envelope.
    :param recipients: of the envelope; the headers may name others.
    """
    mail = email.message_from_bytes(content, policy=email.policy.default)
    headers = _headers(mail)
    text, html, attachments = _parts(mail)
    subject = next((value for name, value in headers if name.lower() == "subject"), "")
    return Draft(
        channel=Channel.MAIL,
        to=_whole(", ".join(recipients)),
        title=first_line(subject) or "(no subject)",
        text=text or html,
        raw={
            "envelope": {"from": _whole(sender), "to": list(map(_whole, recipients))},
            "headers": headers,
            "text": text,
            "html": html,
            "attachments": attachments,
        },
        size=len(content),
    )


def _headers(mail: EmailMessage) -> list[tuple[str, str]]:
    try:
        return [(_whole(name), _whole(str(value))) for name, value in mail.items()]
    except Exception:  # noqa: BLE001 - the parser of structured headers raises IndexError and others on odd mails
        return [(_whole(name), _whole(str(value))) for name, value in mail.raw_items()]


def _parts(mail: EmailMessage) -> tuple[str, str, list[dict[str, Any]]]:
    texts: dict[str, list[str]] = {"plain": [], "html": []}
    attachments: list[dict[str, Any]] = []
    for part in mail.walk():
        if part.is_multipart():
            continue
        if part.get_content_maintype() == "text" and part.get_content_subtype() in texts and not _is_file(part):
            texts[part.get_content_subtype()].append(_decoded(part))
        else:
            size = len(_bytes(part))
            name = _whole(part.get_filename() or "")
            attachments.append({"name": name, "type": _whole(part.get_content_type()), "size": size})
    return "\n".join(texts["plain"]), "\n".join(texts["html"]), attachments


def _whole(text: str) -> str:
    # Bytes that are no UTF-8 reach us as halves of characters, which nothing can write again.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _is_file(part: EmailMessage) -> bool:
    return part.get_content_disposition() == "attachment" or part.get_filename() is not None


def _bytes(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _decoded(part: EmailMessage) -> str:
    data = _bytes(part)
    try:
        text = data.decode(part.get_content_charset() or "utf-8", errors="replace")
    except (LookupError, ValueError):  # a charset that nobody knows
        text = data.decode("utf-8", errors="replace")
    return text.replace("\r\n", "\n")


class Postbox:
    """What aiosmtpd calls.

    :param reception: where mails go.
    """

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail and return the reply line of SMTP. The name is aiosmtpd's."""
        content = envelope.content or b""
        data = content if isinstance(content, bytes) else content.encode()
        draft = read(data, envelope.mail_from or "", envelope.rcpt_tos)
        fault = await self._reception.fault(Channel.MAIL)
        reason = fault.reason if fault else None
        message = self._reception.keep(draft.model_copy(update={"reason": reason}))
        if fault is not None and fault.status is not None:
            return f"{fault.status} {fault.errmsg}"
        return QUEUED.format(id=message.id)


@asynccontextmanager
async def serve(reception: Reception, host: str, port: int) -> AsyncIterator[int]:
    """Run the mail server in this event loop, and yield its port.

    In one loop with the chat server, both use the store without a lock; aiosmtpd's Controller has a thread.

    :param port: 0 takes a free one.
    :raises OSError: the address cannot be had.
    """
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        return SMTP(
            Postbox(reception),
            hostname="mail.testbed.internal",
            ident="testbed",
            enable_SMTPUTF8=True,
            data_size_limit=LONGEST_MAIL_BYTES,
            loop=loop,
        )

    server = await loop.create_server(connection, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
