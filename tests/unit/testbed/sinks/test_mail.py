from __future__ import annotations

import asyncio
import smtplib
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.sinks import mail
from testbed.sinks.faults import Fault
from testbed.sinks.message import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import World

PERSON, TEAM = "oncall@testbed.internal", "team@testbed.internal"


def letter() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "1.4.0 rolled back in Köln 猫"
    message["From"] = "slipway@testbed.internal"
    message["To"] = PERSON
    message.set_content("Rolled back.\n.\nLine after a dot: größer\n")
    message.add_alternative("<h1>Rolled back</h1>", subtype="html")
    message.add_attachment(b"\0\1\2", maintype="application", subtype="json", filename="dossier.json")
    return message


def run(world: World, talk: Callable[[int], object]) -> None:
    """Let smtplib talk from another thread to a server that really listens."""

    async def whole() -> None:
        async with mail.serve(world.reception, "127.0.0.1", 0) as port:
            await asyncio.to_thread(talk, port)

    asyncio.run(whole())


def send(port: int, message: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as server:
        server.send_message(message, to_addrs=[PERSON, TEAM])


def test_a_mail_arrives_with_envelope_headers_and_parts(world: World) -> None:
    run(world, lambda port: send(port, letter()))
    [message] = world.store.find()
    assert message.accepted
    assert (message.channel, message.to) == (Channel.MAIL, f"{PERSON}, {TEAM}")
    assert message.title == "1.4.0 rolled back in Köln 猫"
    assert message.text == "Rolled back.\n.\nLine after a dot: größer\n"
    assert message.raw["envelope"] == {"from": "slipway@testbed.internal", "to": [PERSON, TEAM]}
    assert ("To", PERSON) in message.raw["headers"]
    assert message.raw["html"].strip() == "<h1>Rolled back</h1>"
    assert message.raw["attachments"] == [{"name": "dossier.json", "type": "application/json", "size": 3}]
    assert world.lines == [f'mail accepted "1.4.0 rolled back in Köln 猫" {message.size} bytes id=1']


def test_several_mails_go_over_one_connection(world: World) -> None:
    def talk(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as server:
            for _ in range(3):
                server.send_message(letter())

    run(world, talk)
    assert [message.id for message in world.store.find()] == [1, 2, 3]


def test_a_fault_answers_with_its_code_and_ends_after_its_times(world: World) -> None:
    world.reception.faults.put(Channel.MAIL, Fault(status=451, errmsg="come back later", delay_s=30, times=1))

    def talk(port: int) -> None:
        with pytest.raises(smtplib.SMTPDataError) as caught:
            send(port, letter())
        assert (caught.value.smtp_code, caught.value.smtp_error) == (451, b"come back later")
        send(port, letter())

    run(world, talk)
    assert [(one.accepted, one.reason) for one in world.store.find()] == [
        (False, "fault: status 451 come back later"),
        (True, None),
    ]
    assert world.slept_s == [30]


def test_html_alone_is_the_text() -> None:
    draft = mail.read(b"Subject: a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>b</p>", "f", ["t"])
    assert (draft.title, draft.text, draft.raw["html"]) == ("a", "<p>b</p>", "<p>b</p>")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no headers at all",
        b"Subject: \xff\xfe raw bytes\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=klingon\r\n\r\nqapla",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nbody",
        b"To: <<<>>>, @, ;:\r\nDate: yesterday\r\nMessage-ID: <\r\n\r\n",
        b"Content-Disposition: attachment; filename*=utf-8''%ff\r\n\r\nbody",
    ],
)
def test_odd_mails_are_kept_too(world: World, content: bytes) -> None:
    world.reception.keep(mail.read(content, "f\udcff", ["t\udcff"]))
    assert len(world.store.find()) == 1


@given(
    st.lists(
        st.sampled_from(
            [
                b"Subject: ",
                b"Content-Type: ",
                b"multipart/mixed; boundary=",
                b"text/html; charset=",
                b"To: <",
                b"=?utf-8?",
            ]
        )
        | st.sampled_from([b"\r\n", b"\r\n\r\n", b"--x", b"x", b"?q?=FF?=", b"@", b'"', b"("])
        | st.binary(max_size=4),
        max_size=14,
    )
)
def test_no_mail_breaks_the_reader(pieces: list[bytes]) -> None:
    draft = mail.read(b"".join(pieces), "f", ["t"])
    draft.model_dump_json()
