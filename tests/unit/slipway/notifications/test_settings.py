# ruff: noqa: S106 - passwords are what is tested here
from __future__ import annotations

from typing import Any

import pytest
from slipway.errors import SpecError
from slipway.notifications.settings import DingTalkSettings, EmailSettings, SlackSettings, channel_from_connection


@pytest.mark.parametrize("conn_type", ["dingtalk", "dingding"])
def test_a_robot(conn_type: str) -> None:
    found = channel_from_connection(
        conn_type, host="10.0.0.1", port=8080, schema="http", password="tok", extra={"secret": "SEC1"}
    )
    assert isinstance(found, DingTalkSettings)
    assert (found.base, found.token.get_secret_value()) == ("http://10.0.0.1:8080", "tok")
    assert found.secret is not None
    assert found.secret.get_secret_value() == "SEC1"


def test_a_robot_of_dingtalk_itself_needs_no_host() -> None:
    found = channel_from_connection("dingtalk", password="tok")
    assert isinstance(found, DingTalkSettings)
    assert (found.base, found.secret) == ("https://oapi.dingtalk.com", None)


@pytest.mark.parametrize(
    ("host", "password", "expected"),
    [
        (None, "https://hooks.slack.com/services/T0/B0/x", "https://hooks.slack.com/services/T0/B0/x"),
        (None, "T0/B0/x", "https://hooks.slack.com/services/T0/B0/x"),
        ("https://hooks.slack.com/services/", "/T0/B0/x", "https://hooks.slack.com/services/T0/B0/x"),
        ("http://10.0.0.1:8080", "services/T0/B0/x", "http://10.0.0.1:8080/services/T0/B0/x"),
    ],
)
@pytest.mark.parametrize("conn_type", ["slackwebhook", "slack_webhook", "slack"])
def test_a_webhook(conn_type: str, host: str | None, password: str, expected: str) -> None:
    found = channel_from_connection(conn_type, host=host, password=password)
    assert isinstance(found, SlackSettings)
    assert found.webhook.get_secret_value() == expected


@pytest.mark.parametrize(
    ("extra", "port", "security"),
    [
        ({}, 587, "starttls"),
        ({"disable_tls": True, "disable_ssl": True}, 25, "none"),
        ({"disable_ssl": False, "timeout": 30}, 465, "tls"),
        ({"security": "tls"}, 465, "tls"),
    ],
)
def test_a_mail_server(extra: dict[str, Any], port: int, security: str) -> None:
    extra = {"from_email": "slipway@example.com", "to": "a@example.com, b@example.com", **extra}
    found = channel_from_connection("smtp", host="mail.example.com", login="u", password="p", extra=extra)
    assert isinstance(found, EmailSettings)
    assert (found.port, found.security, found.user) == (port, security, "u")
    assert found.recipients == ("a@example.com", "b@example.com")


def test_what_is_missing_is_listed_and_no_value_is_shown() -> None:
    with pytest.raises(SpecError) as caught:
        channel_from_connection(
            "smtp", host="mail.example.com", password="hunter2", extra={"form_email": "x@hunter2.example"},
            conn_id="slipway_mail",
        )  # fmt: skip
    assert str(caught.value) == (
        "slipway_mail: the connection of email cannot be used.\n"
        "  found  sender: Input should be a valid string; recipients: Tuple should have at least 1 item after "
        "validation, not 0; form_email: Extra inputs are not permitted\n"
        "  do     set these fields of the connection; values are not shown here, they may be secret"
    )
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("conn_type", "parts"),
    [
        ("dingtalk", {}),
        ("slack", {"host": "https://hooks.slack.com"}),
        ("dingtalk", {"password": "hunter2", "host": "https://u:hunter2@x.example"}),
        ("dingtalk", {"password": "hunter2", "host": "https://[hunter2"}),
        ("smtp", {"host": "x", "extra": {"from_email": "a@b.c\r\nBcc: hunter2@x", "to": ["d@e.f"]}}),
        ("smtp", {"host": "x", "extra": {"from_email": "a@b.c", "to": ["d@e.f\nhunter2"]}}),
    ],
)
def test_a_bad_connection_is_refused_without_its_values(conn_type: str, parts: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="cannot be used") as caught:
        channel_from_connection(conn_type, **parts)
    assert "hunter2" not in str(caught.value)


def test_another_type_of_connection_is_named() -> None:
    with pytest.raises(SpecError) as caught:
        channel_from_connection("postgres", password="hunter2", conn_id="slipway_x")
    assert str(caught.value) == (
        "slipway_x: no notification goes through a connection of this type.\n"
        "  found  'postgres'\n"
        "  do     use one of dingtalk, dingding, slackwebhook, slack, smtp, email"
    )


def test_secrets_are_hidden_when_settings_are_shown() -> None:
    found = channel_from_connection("dingtalk", password="hunter2", extra={"secret": "SEC1"})
    assert "hunter2" not in repr(found) + found.model_dump_json()
    assert "SEC1" not in repr(found) + found.model_dump_json()
