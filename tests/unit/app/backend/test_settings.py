"""Settings: what production refuses, in which words; no traceback and no secret whatever comes."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from app.errors import ConfigurationError
from app.settings import Settings, load_settings
from app.settings.findings import shown_url
from app.settings.load import KNOWN
from app.settings.production import DEFAULT_PASSWORDS
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).parents[4] / "include/app/backend/.env.production.example"
GOOD = {
    "APP_ENVIRONMENT": "production",
    "APP_DATABASE_URL": "postgresql+psycopg://hive@db:5432/hive_platform",
    "APP_DATABASE_PASSWORD": "correct-horse-battery",
    "APP_REDIS_URL": "redis://redis:6379/0",
    "APP_REDIS_PASSWORD": "staple-correct-horse",
    "APP_STORAGE_ROOTS": "webhdfs://hive@namenode:9870/warehouse",
}


def load(**changed: str | None) -> Settings:
    values = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    with patch.dict(os.environ, values, clear=True):
        return load_settings()


def refusal(**changed: str | None) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(**changed)
    return str(refused.value)


def test_a_good_production_process_may_start() -> None:
    assert load().database_password is not None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("APP_DEBUG", "true", "debug is refused in production"),
        ("APP_LOG_LEVEL", "DEBUG", "too talkative"),
        ("APP_CORS_ORIGINS", "*", "wildcard or unencrypted origin"),
        ("APP_CORS_ORIGINS", "https://a.example, https://*.example", "wildcard or unencrypted origin"),
        ("APP_CORS_ORIGINS", "http://a.example", "wildcard or unencrypted origin"),
        ("APP_DATABASE_PASSWORD", "postgres", "a default or short password"),
        ("APP_DATABASE_PASSWORD", None, "the secret is missing"),
        ("APP_REDIS_PASSWORD", "", "the secret is missing"),
        ("APP_DATABASE_URL", "sqlite:///x.db", "SQLite is not admitted here"),
        ("APP_DATABASE_URL", "mysql://u@h/d", "unknown kind of database"),
        ("APP_DATABASE_URL", "postgresql+psycopg://u:pw-in-url@h/d", "holds a password"),
        ("APP_REDIS_URL", "http://redis", "not a Redis address"),
        ("APP_STORAGE_ROOTS", "", "no tree is named"),
        ("APP_STORAGE_ROOTS", "file:///", "no warehouse"),
        ("APP_FAULT_ERROR_RATE", "0.2", "a fault made on purpose is refused"),
        ("APP_FAULT_LATENCY_FACTOR", "2", "a fault made on purpose is refused"),
        ("APP_FAULT_CRASH_AFTER_S", "9", "a fault made on purpose is refused"),
        ("APP_TASK_HARD_LIMIT_S", "9000", "must be less than APP_TASK_VISIBILITY_TIMEOUT_S"),
        ("APP_PORT", "0", "input should be greater than or equal to 1"),
        ("APP_ENVIRONMENT", "prod", "input should be 'development', 'staging' or 'production'"),
    ],
)
def test_production_refuses(name: str, value: str | None, words: str) -> None:
    text = refusal(**{name: value})
    assert f"{name}: " in text
    assert words in text


@pytest.mark.parametrize("password", sorted(DEFAULT_PASSWORDS))
def test_default_passwords_are_refused_and_not_shown(password: str) -> None:
    text = refusal(APP_REDIS_PASSWORD=password)
    assert "found     (not shown)" in text


def test_development_forgives_what_production_refuses() -> None:
    easy = {
        "APP_ENVIRONMENT": "development",
        "APP_DEBUG": "true",
        "APP_DATABASE_URL": "sqlite://",
        "APP_CORS_ORIGINS": "*",
    }
    assert load(**easy).debug is True


def test_a_drill_in_production_has_to_be_allowed() -> None:
    assert load(APP_FAULT_ERROR_RATE="0.2", APP_FAULT_ALLOWED_IN_PRODUCTION="true").has_faults


def test_a_misspelt_name_is_refused_with_the_nearest_one_and_without_its_value() -> None:
    mistyped = {"APP_DATABASE_PASWORD": SECRET}
    assert refusal(**mistyped) == (
        "1 setting(s) refused\n"
        "APP_DATABASE_PASWORD: unknown setting\n"
        "  found     (not shown)\n"
        "  expected  a name of .env.production.example\n"
        '  do        rename it to "APP_DATABASE_PASSWORD"'
    )


def test_a_refusal_says_place_value_limits_and_mend() -> None:
    assert refusal(APP_PORT="99999") == (
        "1 setting(s) refused\n"
        "APP_PORT: input should be less than or equal to 65535\n"
        "  found     '99999'\n"
        "  expected  Port of the API, of /health, /ready and /metrics.\n"
        "  do        correct the value"
    )


def test_the_example_names_every_setting_and_its_secrets_are_refused(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    assert [name for name in KNOWN if f"{name}=" not in text] == []
    with patch.dict(os.environ, {}, clear=True), pytest.raises(ConfigurationError) as refused:
        load_settings(EXAMPLE)
    assert str(refused.value).startswith("2 setting(s) refused")
    assert "APP_DATABASE_PASSWORD: a default or short password" in str(refused.value)


def test_the_example_with_real_secrets_is_accepted_and_says_the_defaults(tmp_path: Path) -> None:
    filled = tmp_path / ".env"
    filled.write_text(EXAMPLE.read_text().replace("=replace-me", "=long-enough-secret"))
    with patch.dict(os.environ, {}, clear=True):
        settings = load_settings(filled)
    examples = {"environment", "database_url", "database_password", "redis_url", "redis_password"}
    examples |= {"cors_origins", "storage_roots"}
    for name, field in Settings.model_fields.items():
        if name not in examples:
            assert getattr(settings, name) == field.get_default(call_default_factory=True), name


def test_a_file_names_itself_in_the_refusal(tmp_path: Path) -> None:
    file = tmp_path / "bad.env"
    file.write_text("APP_PROT=1\n")
    with patch.dict(os.environ, GOOD, clear=True), pytest.raises(ConfigurationError) as refused:
        load_settings(file)
    assert f"{file}, APP_PROT: unknown setting" in str(refused.value)
    assert 'rename it to "APP_PORT"' in str(refused.value)


def test_an_unreadable_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with patch.dict(os.environ, GOOD, clear=True), pytest.raises(ConfigurationError, match="no such file"):
        load_settings(tmp_path / "forgotten")


SECRET = "s3cr3t-of-the-platform"  # noqa: S105
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)
PLAIN = sorted(set(KNOWN) - {"APP_DATABASE_PASSWORD", "APP_REDIS_PASSWORD", "APP_SENTRY_DSN"})
URLS = st.sampled_from(
    [
        f"postgresql+psycopg://u:{SECRET}@h/d",
        f"postgres://u:{SECRET}@[h/d",
        f"sqlite:///x?password={SECRET}",
        f"u:{SECRET}@h",
        f"redis://:{SECRET}@h:x/0",
        f"redis://:{SECRET}@@h/0",
        f"//:{SECRET}",
        f"mysql://h/d#{SECRET}",
    ]
)


@given(
    values=st.dictionaries(st.sampled_from(PLAIN), TEXT, max_size=6),
    strange=st.dictionaries(TEXT.map(lambda text: "APP_" + text.replace("=", "")), st.just(SECRET), max_size=2),
    urls=st.dictionaries(
        st.sampled_from(["APP_DATABASE_URL", "APP_REDIS_URL", "APP_STORAGE_ROOTS", "APP_CORS_ORIGINS"]), URLS
    ),
    environment=st.sampled_from(["development", "staging", "production", "Production", ""]),
)
def test_no_traceback_and_no_secret_whatever_comes(
    values: dict[str, str], strange: dict[str, str], urls: dict[str, str], environment: str
) -> None:
    secrets = {"APP_DATABASE_PASSWORD": SECRET, "APP_REDIS_PASSWORD": SECRET, "APP_SENTRY_DSN": SECRET}
    everything = {**GOOD, **values, **strange, **urls, **secrets, "APP_ENVIRONMENT": environment}
    with patch.dict(os.environ, everything, clear=True):
        settings, refused = load_or_refusal()
        if refused is not None:
            assert SECRET not in str(refused)
            assert refused.__cause__ is None
            assert refused.__suppress_context__
        else:
            assert urls or SECRET not in repr(settings)


def load_or_refusal() -> tuple[Settings | None, ConfigurationError | None]:
    try:
        return load_settings(), None
    except ConfigurationError as error:
        return None, error


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://u:p@h:5432/d?sslmode=require", "'postgresql+psycopg://***@h:5432/d'"),
        ("user:p@h", "(not shown)"),
        ("redis://h/0", "'redis://h/0'"),
    ],
)
def test_urls_are_shown_without_passwords(url: str, words: str) -> None:
    assert shown_url(url) == words
