"""What the channels say, without a network: the real conversations are in tests/integration/notifications."""

from __future__ import annotations

import logging
import socket
import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.errors import NotificationError
from slipway.notifications import web
from slipway.notifications.dingtalk import DingTalk, sign
from slipway.notifications.email import Email, compose
from slipway.notifications.failures import TemporaryError
from slipway.notifications.settings import DingTalkSettings, EmailSettings, SlackSettings
from slipway.notifications.slack import Slack

from tests.unit.slipway.notifications.samples import RELEASE, bad_canary, one_of_each

TOKEN = "tok-5f0e77aa"  # noqa: S105
SECRET = "SEC5f0e-test/secret+="  # noqa: S105
WEBHOOK = "https://hooks.slack.com/services/T0/B0/tok-5f0e77aa"


def robot(base: str = "https://oapi.dingtalk.com") -> DingTalk:
    found = DingTalkSettings.model_validate({"base": base, "token": TOKEN, "secret": SECRET})
    return DingTalk(found, clock=lambda: 1_764_000_000.123)


def answering(monkeypatch: pytest.MonkeyPatch, status: int, text: str, retry_after_s: float = 0) -> list[str]:
    asked: list[str] = []

    def post(url: str, body: bytes, **_: Any) -> web.Answer:
        asked.append(url)
        return web.Answer(status, text, retry_after_s)

    monkeypatch.setattr(web, "post", post)
    return asked


@pytest.mark.parametrize(
    ("secret", "timestamp_ms", "expected"),
    [
        # Computed with: printf '%s\n%s' MS SECRET | openssl dgst -sha256 -hmac SECRET -binary | base64
        (SECRET, 1_764_000_000_123, "Mu1/2LA0V9/Up/a+6p9qNgd3ZEYaEI/eJ1abFByTH1o="),
        ("this is secret", 1_577_262_236_757, "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="),
    ],
)
def test_signature_vectors(secret: str, timestamp_ms: int, expected: str) -> None:
    assert sign(secret, timestamp_ms) == expected


def test_the_signature_is_encoded_for_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, 200, '{"errcode": 0, "errmsg": "ok"}')
    assert robot().send(bad_canary(), 1) == "taken by the robot"
    assert asked == [
        "https://oapi.dingtalk.com/robot/send?access_token=tok-5f0e77aa&timestamp=1764000000123"
        "&sign=Mu1%2F2LA0V9%2FUp%2Fa%2B6p9qNgd3ZEYaEI%2FeJ1abFByTH1o%3D"
    ]


def test_a_wrong_signature_says_what_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 200, '{"errcode": 310000, "errmsg": "sign not match"}')
    with pytest.raises(NotificationError) as caught:
        robot().send(bad_canary(), 1)
    assert not isinstance(caught.value, TemporaryError)
    assert str(caught.value) == (
        "DingTalk refused the message.\n"
        "  found  errcode 310000 sign not match\n"
        "  do     compare the secret (SEC...) in the connection with the robot's security settings, and this machine's "
        "clock with the true time (one hour at most); a robot with keywords needs one of them in the text"
    )


@pytest.mark.parametrize("code", [130101, 410100, 660026])
def test_a_robot_that_is_asked_too_often_may_be_asked_later(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    answering(monkeypatch, 200, f'{{"errcode": {code}, "errmsg": "send too fast"}}')
    with pytest.raises(TemporaryError) as caught:
        robot().send(bad_canary(), 1)
    assert caught.value.retry_after_s == 1.5
    assert caught.value.mend == (
        "more than 20 messages a minute silence a robot for ten minutes: give slipway one of its own"
    )


@pytest.mark.parametrize("text", ["<html>login</html>", "[]", "null", '{"errcode": null}', "{}", ""])
def test_a_stranger_in_front_of_dingtalk_is_not_taken_for_success(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    answering(monkeypatch, 200, text)
    with pytest.raises(TemporaryError, match="something that is not its own"):
        robot().send(bad_canary(), 1)


@pytest.mark.parametrize(("status", "temporary"), [(500, True), (502, True), (429, True), (404, False), (302, False)])
def test_only_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch, status: int, temporary: bool) -> None:
    answering(monkeypatch, status, "no", retry_after_s=2)
    for channel in (robot(), Slack(SlackSettings.model_validate({"webhook": WEBHOOK}))):
        with pytest.raises(NotificationError) as caught:
            channel.send(bad_canary(), 1)
        assert isinstance(caught.value, TemporaryError) is temporary
        if isinstance(caught.value, TemporaryError):
            assert caught.value.retry_after_s == 2


def test_slack_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 404, "no_service\n")
    with pytest.raises(NotificationError) as caught:
        Slack(SlackSettings.model_validate({"webhook": WEBHOOK})).send(bad_canary(), 1)
    assert str(caught.value) == (
        "Slack refused the message.\n"
        "  found  HTTP 404 no_service\n"
        "  do     the webhook is switched off or removed: make a new one and store its address"
    )


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_no_secret_in_errors_tracebacks_or_logs(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    base = f"http://127.0.0.1:{closed_port}"
    webhook = SlackSettings.model_validate({"webhook": f"{base}/services/T0/B0/{TOKEN}"})
    mail = EmailSettings.model_validate(
        {"host": "127.0.0.1", "port": closed_port, "security": "none", "user": "u", "password": SECRET,
         "sender": "a@b.c", "recipients": ["d@e.f"]}
    )  # fmt: skip
    for channel in (robot(base), Slack(webhook), Email(mail)):
        with pytest.raises(TemporaryError) as caught:
            channel.send(bad_canary(), 1)
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(vars(channel))
        assert f"127.0.0.1:{closed_port} did not answer" in shown
        assert caught.value.__cause__ is None
        assert TOKEN not in shown
        assert SECRET not in shown
    assert TOKEN not in caplog.text


@settings(max_examples=60)
@given(st.text(st.characters(codec="utf-8"), min_size=6, max_size=40))
def test_an_address_that_cannot_be_used_is_never_shown(secret: str) -> None:
    settings = SlackSettings.model_construct(webhook=_secret(f"htp://x/{secret}"))
    with pytest.raises(NotificationError) as caught:
        Slack(settings).send(bad_canary(), 0.1)
    assert str(caught.value) == (
        "The address of Slack cannot be used.\n"
        "  found  not shown, it holds a secret\n"
        "  do     write it as https://HOST/... in the connection"
    )


def _secret(value: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(value)


def test_other_requests_of_the_process_are_still_logged(caplog: pytest.LogCaptureFixture, closed_port: int) -> None:
    caplog.set_level(logging.INFO, "httpx")
    with pytest.raises(TemporaryError):
        web.post(f"http://127.0.0.1:{closed_port}/", b"{}", service="Slack", timeout_s=1)
    logging.getLogger("httpx").info("HTTP Request: GET https://prometheus.example.com")
    assert "prometheus.example.com" in caplog.text


def test_a_mail_has_the_headers_that_tell_a_repeat_apart() -> None:
    first, again = (compose(bad_canary(), "slipway@example.com", ("a@example.com", "b@example.com")) for _ in range(2))
    assert first["Message-ID"] == again["Message-ID"]
    assert first["To"] == "a@example.com, b@example.com"
    assert first["Importance"] == "high"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Date"] == "Tue, 24 Nov 2026 03:12:07 +0000"
    mails = [compose(message, "slipway@example.com", ("a@example.com",)) for message in one_of_each()]
    assert len({mail["Message-ID"] for mail in mails}) == len(mails)
    assert len({mail["References"] for mail in mails}) == 1
    other = compose(bad_canary(RELEASE.model_copy(update={"id": "other"})), "slipway@example.com", ("a@example.com",))
    assert other["Message-ID"] != first["Message-ID"]
    assert [part.get_content_type() for part in first.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize("address", ["a@example.com\r\nBcc: c@example.com", "a@example.com\nX: y"])
def test_a_header_with_a_line_break_is_refused(address: str) -> None:
    with pytest.raises(NotificationError) as caught:
        compose(bad_canary(), address, ("a@example.com",))
    assert str(caught.value) == (
        "The e-mail was not built: a header would hold a line break.\n"
        "  do     look at the sender and the recipients in the connection"
    )


@given(st.text())
def test_no_text_becomes_a_header(text: str) -> None:
    message = bad_canary().model_copy(update={"headline": text})  # past the cleaning of the model
    try:
        mail = compose(message, "slipway@example.com", ("a@example.com",))
    except NotificationError as error:
        assert "a header would hold a line break" in str(error)  # noqa: PT017 - most texts raise nothing
    else:
        known = {"Subject", "From", "To", "Date", "Message-ID", "References", "Auto-Submitted", "Importance"}
        assert set(mail.keys()) == known | {"MIME-Version", "Content-Type"}
