"""settings.schema.json: what chart and slipway check, generated from the one typed schema of the process."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from app.settings.export import document, main, render
from app.settings.groups import FROM_THE_IMAGE, groups, is_secret
from app.settings.schema import Settings

SCHEMA = Path(__file__).parents[4] / "include/app/backend/settings.schema.json"


def test_the_file_is_fresh() -> None:
    """7.1: configuration files are validated against a schema, and that schema is the process's own."""
    assert SCHEMA.read_text() == render(), "run: cd include/app/backend && python -m app.settings.export " + SCHEMA.name


def test_every_setting_stands_in_one_group_or_is_a_secret_or_comes_from_the_image() -> None:
    grouped = [name for names in groups().values() for name in names]
    assert len(grouped) == len(set(grouped))
    left = set(Settings.model_fields) - set(grouped) - FROM_THE_IMAGE
    assert left == {name for name in Settings.model_fields if is_secret(name)}
    assert left == {"database_password", "redis_password", "sentry_dsn"}


def test_the_groups_are_those_of_the_contract() -> None:
    assert list(groups()) == [
        "process", "api", "database", "celery", "hive", "scan", "merge", "monitoring", "fault",
    ]  # fmt: skip
    assert groups()["hive"] == ["storage_roots", "storage_timeout_s"]


def test_the_schema_is_closed_and_every_setting_is_described() -> None:
    schema = document()
    assert schema["additionalProperties"] is False
    for group in schema["properties"].values():
        assert group["additionalProperties"] is False
        assert group["description"]
        for name, field in group["properties"].items():
            assert field["description"], name
            assert ("default" in field) != (name in group.get("required", [])), name


def test_nothing_refers_to_another_place_so_a_group_can_be_cut_out() -> None:
    assert "$ref" not in render()
    assert "$defs" not in render()


def test_a_default_is_what_the_process_takes() -> None:
    for group in document()["properties"].values():
        for name, field in group["properties"].items():
            if "default" in field:
                assert field["default"] == Settings.model_fields[name].get_default(call_default_factory=True)


@pytest.mark.parametrize(
    ("url", "admitted"),
    [
        ("postgresql+psycopg://hive@db:5432/hive_platform", True),
        ("postgresql+psycopg://db/hive_platform?sslmode=require", True),
        ("redis://redis:6379/0", True),
        ("postgresql+psycopg://hive:word@db/hive", False),
        ("redis://:word@redis:6379/0", False),
        ("redis://redis:6379/0@", False),
        ("db/hive", False),
    ],
)
def test_an_address_with_a_password_does_not_fit_the_pattern(url: str, admitted: bool) -> None:
    pattern = document()["properties"]["database"]["properties"]["database_url"]["pattern"]
    assert bool(re.match(pattern, url)) is admitted


def test_it_writes_to_a_file_and_to_the_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path / "schema.json")])
    main([])
    assert json.loads((tmp_path / "schema.json").read_text()) == json.loads(capsys.readouterr().out) == document()
