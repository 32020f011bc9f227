"""Finds what a reference of an environment leads to: a variable, a file, or a connection of Airflow."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from slipway.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.spec.model import Reference


@dataclass(frozen=True)
class Login:
    """What a connection says. Its password never shows in a repr."""

    kind: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def postgres_dsn(self) -> str:
        """The address as libpq takes it."""
        who = quote(self.user or "", safe="")
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        return f"postgresql://{who}{secret}@{self.host}:{self.port or 5432}/{self.schema or ''}"


def text(reference: Reference) -> str:
    """Return what a variable or a file holds.

    :raises RefusedError: it is not there, or empty; the value is never shown.
    """
    if reference.env is not None:
        value = os.environ.get(reference.env, "")
    elif reference.file is not None:
        try:
            value = Path(reference.file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RefusedError(
                f"{reference} cannot be read", found=type(error).__name__, mend="put the secret there"
            ) from None
    else:
        raise RefusedError(f"{reference}: a variable or a file is wanted here", mend="correct the reference")
    if not value:
        raise RefusedError(f"{reference} is not set, or empty", mend="set it for slipway's process, then try again")
    return value


def path(reference: Reference) -> str:
    """Return the path of a file that a reference leads to: itself, or the one that a variable names."""
    return reference.file if reference.file is not None else text(reference)


def login(reference: Reference) -> Login:
    """Return address and secret that a reference leads to.

    :raises RefusedError: it leads nowhere, or to something that is no connection; no value is shown.
    """
    if reference.connection is None:
        return _parse(str(reference), text(reference))
    value = os.environ.get(f"AIRFLOW_CONN_{reference.connection.upper()}", "")
    if value:
        return _parse(str(reference), value)
    if "airflow.sdk" in sys.modules:
        return _of_airflow(reference.connection)
    raise RefusedError(
        f"{reference} is not known",
        mend=f"add the connection in Airflow, or set AIRFLOW_CONN_{reference.connection.upper()}",
    )


def _of_airflow(connection: str) -> Login:
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        found = Connection.get(connection)
    except AirflowNotFoundException:
        raise RefusedError(
            f"Airflow has no connection {connection}", mend=f"add it: Admin, Connections, + and the id {connection}"
        ) from None
    return Login(
        found.conn_type, found.host, found.port, found.login, found.password, found.schema, found.extra_dejson
    )  # fmt: skip


def _parse(place: str, value: str) -> Login:
    try:
        return _of_json(json.loads(value)) if value.lstrip().startswith("{") else _of_uri(value)
    except (ValueError, TypeError, KeyError):
        raise RefusedError(f"{place} holds no connection", mend="write TYPE://USER:PASSWORD@HOST:PORT/NAME") from None


def _of_json(parts: Mapping[str, Any]) -> Login:
    extra = parts.get("extra") or {}
    return Login(
        kind=parts["conn_type"], host=parts.get("host"), port=int(parts["port"]) if parts.get("port") else None,
        user=parts.get("login"), password=parts.get("password"), schema=parts.get("schema"),
        extra=json.loads(extra) if isinstance(extra, str) else extra,
    )  # fmt: skip


def _of_uri(uri: str) -> Login:
    parts = urlsplit(uri)
    if not parts.scheme:
        raise ValueError
    extra: dict[str, Any] = dict(parse_qsl(parts.query))
    if "__extra__" in extra:
        extra = json.loads(extra["__extra__"])
    return Login(
        kind=parts.scheme.replace("postgres", "postgresql") if parts.scheme == "postgres" else parts.scheme,
        host=unquote(parts.hostname) if parts.hostname else None,
        port=parts.port,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        schema=unquote(parts.path.lstrip("/")) or None,
        extra=extra,
    )
