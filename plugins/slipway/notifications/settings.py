"""How a channel is reached: typed, with its secrets hidden, and read from the parts of a connection. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from slipway.errors import SpecError
from slipway.names import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping

DINGTALK = "https://oapi.dingtalk.com"
SLACK = "https://hooks.slack.com/services"


def _base(value: object) -> object:
    if isinstance(value, str):
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("an address is http(s)://HOST[:PORT][/PATH] and nothing else")
        return value.rstrip("/")
    return value


def _mailbox(value: object) -> object:
    # Strict on purpose: what stands here becomes a header and an envelope.
    if isinstance(value, str) and not re.fullmatch(r"[^\s@<>,;:\"()\\\[\]]+@[A-Za-z0-9.-]+", value):
        raise ValueError("an address is NAME@HOST, without a display name")
    return value


Base = Annotated[str, BeforeValidator(_base)]
Mailbox = Annotated[str, Field(max_length=254), BeforeValidator(_mailbox)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=2_000)]


class _Settings(BaseModel):
    # Inputs stay out of pydantic's errors: they may be secrets.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DingTalkSettings(_Settings):
    """A DingTalk custom robot.

    :param token: the access_token of its webhook.
    :param secret: signs each request; None for a robot whose security setting is keywords or addresses.
    :param at_all_on_failure: whether bad news calls everybody in the group.
    """

    channel: Literal[Channel.DINGTALK] = Channel.DINGTALK
    base: Base = DINGTALK
    token: Secret
    secret: Secret | None = None
    at_all_on_failure: bool = False


class SlackSettings(_Settings):
    """A Slack incoming webhook.

    :param webhook: its whole address, which is the secret.
    """

    channel: Literal[Channel.SLACK] = Channel.SLACK
    webhook: Secret


class EmailSettings(_Settings):
    """A mail server, and who gets the mail.

    :param security: ``none``, ``starttls`` (port 587) or ``tls`` (port 465).
    :param sender: the address that the mail comes from.
    :param recipients: everybody who gets the one mail.
    """

    channel: Literal[Channel.EMAIL] = Channel.EMAIL
    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:-]+$")
    port: int = Field(default=587, ge=1, le=65_535)
    security: Literal["none", "starttls", "tls"] = "starttls"
    user: str | None = None
    password: Secret | None = None
    sender: Mailbox
    recipients: tuple[Mailbox, ...] = Field(min_length=1, max_length=50)


ChannelSettings = Annotated[DingTalkSettings | SlackSettings | EmailSettings, Field(discriminator="channel")]
"""One channel, told apart by ``channel``."""

CONNECTION_TYPES = {
    "dingtalk": Channel.DINGTALK,
    "dingding": Channel.DINGTALK,
    "slackwebhook": Channel.SLACK,
    "slack": Channel.SLACK,
    "smtp": Channel.EMAIL,
    "email": Channel.EMAIL,
}
"""The types of Airflow connections, the providers' and the plain names."""


def channel_from_connection(
    conn_type: str,
    *,
    host: str | None = None,
    port: int | None = None,
    login: str | None = None,
    password: str | None = None,
    schema: str | None = None,
    extra: Mapping[str, Any] | None = None,
    conn_id: str = "the connection",
) -> DingTalkSettings | SlackSettings | EmailSettings:
    """Read the parts of a connection.

    ========  ==========================  =============================  =============================================
    type      host, port, schema          login, password                extra
    ========  ==========================  =============================  =============================================
    dingtalk  the server, or empty        password: the access_token     secret, at_all_on_failure
    slack     the server, or empty        password: the webhook's        (none)
                                          address, or T.../B.../...
    smtp      the mail server             the account, or empty          from_email, to (list or commas), security,
                                                                         or disable_tls, disable_ssl as the provider
    ========  ==========================  =============================  =============================================

    :param schema: ``http`` or ``https`` for a host that names none; https without it.
    :raises SpecError: the type is unknown, or something is missing or wrong; no value is shown.
    """
    channel = CONNECTION_TYPES.get(conn_type.lower().replace("_", "").replace("-", ""))
    more = dict(extra or {})
    if channel is None:
        raise SpecError(
            f"{conn_id}: no notification goes through a connection of this type.",
            found=repr(conn_type[:50]),
            mend=f"use one of {', '.join(CONNECTION_TYPES)}",
        )
    try:
        match channel:
            case Channel.DINGTALK:
                base = _address(host, port, schema) or DINGTALK
                return DingTalkSettings.model_validate({"base": base, "token": password, **more})
            case Channel.SLACK:
                webhook = _webhook(password or "", _address(host, port, schema) or SLACK)
                return SlackSettings.model_validate({"webhook": webhook, **more})
            case Channel.EMAIL:
                return EmailSettings.model_validate(_email(host, port, login, password, more))
    except (ValidationError, ValueError) as error:
        found = _findings(error)
    raise SpecError(
        f"{conn_id}: the connection of {channel} cannot be used.",
        found=found,
        mend="set these fields of the connection; values are not shown here, they may be secret",
    )


def _address(host: str | None, port: int | None, schema: str | None) -> str | None:
    if not host:
        return None
    address = host if "://" in host else f"{schema or 'https'}://{host}"
    return address if port is None else f"{address.rstrip('/')}:{port}"


def _webhook(password: str, base: str) -> str | None:
    if not password:
        return None
    if "://" in password:
        return password
    path = password.strip("/").removeprefix("services/")
    return f"{base.rstrip('/').removesuffix('/services')}/services/{path}"


def _email(
    host: str | None, port: int | None, login: str | None, password: str | None, extra: dict[str, Any]
) -> dict[str, Any]:
    # The provider of Airflow has no other fields for these, and "timeout" of its own; ours is the message's bound.
    extra.pop("timeout", None)
    without_tls, without_ssl = extra.pop("disable_tls", None), extra.pop("disable_ssl", None)
    provider = "tls" if without_ssl is False else "none" if without_tls is True else "starttls"
    recipients = extra.pop("to", ())
    if isinstance(recipients, str):
        recipients = [one for one in re.split(r"[,;\s]+", recipients) if one]
    security = extra.pop("security", provider)
    return {
        "host": host,
        "port": port or {"none": 25, "tls": 465}.get(str(security), 587),
        "security": security,
        "user": login or None,
        "password": password or None,
        "sender": extra.pop("from_email", None),
        "recipients": tuple(recipients),
        **extra,
    }


def _findings(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "an address that cannot be read"
    return "; ".join(
        f"{'.'.join(map(str, row['loc'])) or 'all'}: {row['msg']}" for row in error.errors(include_input=False)
    )
