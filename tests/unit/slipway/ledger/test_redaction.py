from __future__ import annotations

import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.errors import RefusedError
from slipway.ledger.redaction import masked, refuse_secrets

SECRET = "hunter2" * 3
BY_NAME = [
    "password", "Password", "db_password", "dbPassword", "PGPASSWORD", "APP_DATABASE_PASSWORD", "password_hash",
    "token", "accessToken", "api_key", "apiKey", "API-KEY", "private_key", "secret", "secrets", "signing.key",
    "Authorization", "credentials", "dsn", "sentry_dsn", "webhook_url", "passwd", "cookie",
]  # fmt: skip
BY_VALUE = [
    f"postgresql://slipway:{SECRET}@db:5432/ledger",
    f"could not connect: redis://:{SECRET}@redis:6379/0 refused",
    f"host=db password={SECRET} dbname=x",
    f"https://oapi.dingtalk.com/robot/send?access_token={SECRET}&sign=x",
    f"Authorization: Bearer {SECRET}",
    "https://0123456789abcdef0123456789abcdef@sentry.example.org/4",
    f"https://hooks.slack.com/services/T0/B0/{SECRET}",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
    "ghp_0123456789abcdef0123456789abcdef",
    "xoxb-123456789012-abcdefghijkl",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
]
HARMLESS = [
    {"secret_name": "hive-platform-secrets", "secrets_missing": ["APP_SENTRY_DSN"], "token_count": 3},
    {"password": None, "token": "", "has_secret": True, "secret": "***"},
    {"key": "k", "keys": ["a"], "monkey": 1, "tokenizer": "bpe", "passed": 3, "design": "x", "cosign": "y"},
    {"image": "registry.testbed.internal:5000/hive@sha256:" + "0" * 64, "url": "https://airflow.example.org/dags/x"},
    {"mail": "ada@example.org", "text": "the bearer of this token is unknown; basic checks passed"},
    {"address": "postgresql://slipway@db:5432/ledger", "time": "18:20:00", "ratio": "a:b@c"},
]


@pytest.mark.parametrize("name", BY_NAME)
def test_refuses_what_is_named_like_a_secret(name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        refuse_secrets({"outer": [{name: SECRET}]})
    assert str(refused.value) == (
        f"payload.outer[0].{name} is named like a secret; nothing was written.\n"
        "  do     record a reference (the name of the Kubernetes Secret or connection) instead of the value."
    )


@pytest.mark.parametrize("value", BY_VALUE)
def test_refuses_what_reads_like_a_secret_and_never_shows_it(value: str) -> None:
    for payload in ({"error": value}, {"list": ["x", ("y", value)]}, {value: 1}):
        with pytest.raises(RefusedError) as refused:
            refuse_secrets(payload)
        shown = "".join(traceback.format_exception(refused.value)) + repr(refused.value.args)
        assert value not in shown
        assert SECRET not in shown


@pytest.mark.parametrize("payload", HARMLESS)
def test_takes_what_only_speaks_of_secrets(payload: dict[str, object]) -> None:
    refuse_secrets(payload)
    assert masked(payload) == payload


@pytest.mark.parametrize("value", BY_VALUE)
def test_masked_text_is_taken_and_still_tells_the_rest(value: str) -> None:
    text = str(masked(f"before {value} after"))
    refuse_secrets(text)
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert SECRET not in text


@settings(deadline=None)  # the machine may be busy
@given(
    payload=st.recursive(
        st.sampled_from([*BY_VALUE, "plain", 1, None]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*BY_NAME, *BY_VALUE, "a"]), inner),
        max_leaves=6,
    )
)
def test_whatever_is_masked_is_taken(payload: object) -> None:
    refuse_secrets(masked(payload))
