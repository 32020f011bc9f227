"""What a reference leads to, as URI and as JSON, and that no secret shows on any way out."""

from __future__ import annotations

import json
import sys
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.errors import RefusedError
from slipway.flow import credentials
from slipway.flow.credentials import Login
from slipway.spec.model import Reference

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = "p@ss/w:rd%25?#"
CONNECTION = Reference(connection="slipway_ledger")
VARIABLE = "AIRFLOW_CONN_SLIPWAY_LEDGER"


def of(monkeypatch: pytest.MonkeyPatch, value: str) -> Login:
    monkeypatch.setenv(VARIABLE, value)
    return credentials.login(CONNECTION)


def test_a_connection_as_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of(monkeypatch, "postgresql://ann%40x:p%40ss%2Fw%3Ard%2525%3F%23@db.test:5433/led%2Fger?sslmode=require")

    assert (found.kind, found.host, found.port, found.user, found.password, found.schema) == (
        "postgresql", "db.test", 5433, "ann@x", HIDDEN, "led/ger",
    )  # fmt: skip
    assert found.extra == {"sslmode": "require"}


def test_a_connection_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        "conn_type": "postgres", "host": "db.test", "port": "5433", "login": "ann", "password": HIDDEN,
        "schema": "ledger", "extra": {"sslmode": "require"},
    }  # fmt: skip

    as_object = of(monkeypatch, json.dumps(parts))
    as_text = of(monkeypatch, json.dumps(parts | {"extra": json.dumps(parts["extra"])}))

    assert as_object == as_text
    assert (as_object.port, as_object.password, as_object.extra) == (5433, HIDDEN, {"sslmode": "require"})


def test_the_extra_of_a_uri_may_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of(monkeypatch, 'slackwebhook://:token@?__extra__=%7B"a"%3A%20%7B"b"%3A%201%7D%7D')

    assert (found.host, found.user, found.password, found.extra) == (None, None, "token", {"a": {"b": 1}})


@pytest.mark.parametrize("uri", ["postgres://a:b@c/d", "postgresql://a:b@c/d"])
def test_both_names_of_postgresql_are_one(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    assert of(monkeypatch, uri).postgres_dsn == "postgresql://a:b@c:5432/d"


@settings(deadline=None)
@given(user=st.text(max_size=20), password=st.text(min_size=1, max_size=20))
def test_a_dsn_leads_libpq_to_the_same_user_and_password(user: str, password: str) -> None:
    from psycopg.conninfo import conninfo_to_dict

    if "\0" in user + password or any(0xD800 <= ord(one) <= 0xDFFF for one in user + password):
        return  # libpq knows no such text
    found = conninfo_to_dict(Login("postgresql", "db.test", 5433, user, password, "ledger").postgres_dsn)

    assert (found.get("user", ""), found["password"], found["host"], found["port"]) == (
        user,
        password,
        "db.test",
        "5433",
    )


@pytest.mark.parametrize(
    "value",
    [
        HIDDEN, "{", '{"host": "x"}', '{"conn_type": "a", "port": "p@ss/w:rd%25?#"}', "postgresql://a:b@c:port/d",
        "postgresql://[::1/d", 'a://b?__extra__={"p@ss', "[]", '{"conn_type": "a", "extra": "p@ss"}',
    ],
)  # fmt: skip
def test_what_is_no_connection_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with pytest.raises(RefusedError, match="holds no connection") as caught:
        of(monkeypatch, value)

    everything = "".join(traceback.format_exception(caught.value))
    assert HIDDEN not in everything
    assert "p@ss" not in str(caught.value)


def test_a_login_shows_no_secret() -> None:
    shown = repr(Login("postgresql", "db.test", 1, "ann", HIDDEN, "x", {"token": HIDDEN}))

    assert HIDDEN not in shown
    assert "ann" in shown


def test_an_unknown_connection_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "airflow.sdk", raising=False)

    with pytest.raises(RefusedError) as caught:
        credentials.login(CONNECTION)

    assert VARIABLE in str(caught.value)


# --- variables and files


def test_a_variable_and_a_file_hold_a_connection_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_text("postgresql://a:b@c/d\n")
    monkeypatch.setenv("SHOP_DSN", "postgresql://a:b@c/d")

    assert credentials.login(Reference(env="SHOP_DSN")) == credentials.login(Reference(file=str(file)))


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_empty_is_refused(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("SHOP_TOKEN", value)

    with pytest.raises(RefusedError, match="environment variable SHOP_TOKEN is not set, or empty"):
        credentials.text(Reference(env="SHOP_TOKEN"))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")

    for path in (tmp_path / "missing", tmp_path, binary):
        with pytest.raises(RefusedError, match="cannot be read") as caught:
            credentials.text(Reference(file=str(path)))
        assert "\\xff" not in "".join(traceback.format_exception(caught.value))


def test_a_connection_is_no_text() -> None:
    with pytest.raises(RefusedError, match="a variable or a file is wanted"):
        credentials.text(CONNECTION)


def test_a_path_is_the_file_itself_or_what_a_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KUBECONFIG", "/kube/config")

    assert credentials.path(Reference(file="/kube/other")) == "/kube/other"
    assert credentials.path(Reference(env="SHOP_KUBECONFIG")) == "/kube/config"
