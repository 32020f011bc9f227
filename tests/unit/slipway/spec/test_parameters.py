"""Parameters are data: patterns leave no room for a metacharacter, and what is unknown is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.errors import SpecError
from slipway.spec.parameters import ReleaseParameters, RollbackParameters, form, parse_parameters

GOOD = {"application": "hive-platform", "version": "1.0.0", "environment": "local"}


def refusal(**changed: Any) -> str:
    with pytest.raises(SpecError) as error:
        parse_parameters(ReleaseParameters, {**GOOD, **changed})
    return str(error.value)


def test_what_is_left_out_has_a_default() -> None:
    parameters = parse_parameters(ReleaseParameters, {**GOOD, "summary": None})
    assert (parameters.summary, parameters.drill_error_rate) == ("", 0)
    assert not parameters.parsed_version.is_prerelease


def test_an_unknown_key_comes_with_the_nearest_one_and_without_its_value() -> None:
    assert refusal(sumary="hunter2") == (
        "the parameters: refused, 1 finding(s); nothing was touched\n"
        "parameters: sumary: unknown key\n"
        "  allowed  application, drill_error_rate, environment, ignore_freeze_reason, summary, supersede_reason, "
        "version\n"
        "  meant    summary?"
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("version", "v1", "version: not a version such as 1.0.0"),
        ("version", 1.0, "version: not a text"),
        ("environment", "../local", "environment: not in the right form"),
        ("environment", "local\n", "environment: "),
        ("application", "", "application: not in the right form"),
        ("drill_error_rate", 2, "drill_error_rate: too large"),
        ("summary", "a\x00b", "summary: not in the right form"),
        ("summary", "x" * 3000, "summary: too long"),
        ("summary", "x" * 30000, "too long"),
        ("summary", {"a": 1}, "summary: not a text"),
        ("summary", object(), "not JSON"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: Any, words: str) -> None:
    assert words in refusal(**{name: value})


@pytest.mark.parametrize("conf", [None, 5, "text", []])
def test_what_is_no_mapping_is_refused(conf: Any) -> None:
    with pytest.raises(SpecError, match="not JSON"):
        parse_parameters(ReleaseParameters, conf)


META = [
    "; rm -rf /",
    "$(id)",
    "`id`",
    "{{ ds }}",
    "{% raw %}",
    "../../etc/passwd",
    "a b",
    "a|b",
    "a&b",
    "'",
    '"',
    "\\",
    "*",
]


@pytest.mark.parametrize("text", META)
@pytest.mark.parametrize("name", ["application", "version", "environment"])
def test_a_metacharacter_is_refused_where_a_name_is_wanted(name: str, text: str) -> None:
    assert f"parameters: {name}: " in refusal(**{name: text})
    assert f"parameters: {name}: " in refusal(**{name: str(GOOD[name]) + text})


@pytest.mark.parametrize("text", META)
def test_in_a_sentence_a_metacharacter_is_only_text(text: str) -> None:
    assert parse_parameters(ReleaseParameters, {**GOOD, "summary": text}).summary == text


@given(st.fixed_dictionaries({name: st.text(max_size=30) for name in GOOD}))
def test_names_hold_nothing_that_a_shell_or_a_template_would_read(conf: dict[str, str]) -> None:
    try:
        parameters = parse_parameters(ReleaseParameters, conf)
    except SpecError:
        return
    for text in (parameters.application, parameters.environment):
        assert re.fullmatch(r"[a-z][a-z0-9-]*", text)


def test_a_rollback_wants_its_reason() -> None:
    with pytest.raises(SpecError, match="reason: the key is missing"):
        parse_parameters(RollbackParameters, {"application": "a", "environment": "local"})
    conf = {"application": "a", "environment": "local", "reason": "errors rise"}
    assert parse_parameters(RollbackParameters, conf).reason == "errors rise"


@pytest.mark.parametrize("model", [ReleaseParameters, RollbackParameters])
def test_the_form_describes_every_field_and_offers_what_there_is(model: Any) -> None:
    fields = form(model, ["hive-platform"], ["local", "staging"])
    assert set(fields) == set(model.model_fields)
    for name, field in fields.items():
        assert field["description"], name
        assert ("default" in field) != (name in {"version", "reason"}), name
    assert fields["application"]["enum"] == ["hive-platform"]
    assert (fields["environment"]["enum"], fields["environment"]["default"]) == (["local", "staging"], "local")
