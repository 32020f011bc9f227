"""The application's generated schema says in YAML what its process says: production refuses development."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).parents[4] / "include/app/backend/settings.schema.json"
CHECK = Draft202012Validator(json.loads(SCHEMA.read_text()))


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(CHECK.schema)


def good() -> dict[str, dict[str, object]]:
    return {
        "process": {"environment": "production"},
        "database": {"database_url": "postgresql+psycopg://hive@db/hive"},
        "celery": {"redis_url": "redis://redis/0"},
        "hive": {"storage_roots": ["webhdfs://namenode:9870/warehouse"]},
    }


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("process", "debug", True),
        ("process", "log_level", "DEBUG"),
        ("api", "cors_origins", ["*"]),
        ("api", "cors_origins", ["http://hive.example.com"]),
        ("database", "database_url", "sqlite:///x.db"),
        ("celery", "redis_url", "http://redis"),
        ("hive", "storage_roots", []),
        ("fault", "fault_error_rate", 0.2),
        ("fault", "fault_crash_after_s", 9),
    ],
)
def test_the_schema_refuses_in_production_what_the_process_refuses(group: str, name: str, value: object) -> None:
    """7.1: production and development are isolated: what only development forgives does not fit the schema."""
    settings = good()
    assert CHECK.is_valid(settings)
    settings.setdefault(group, {})[name] = value
    assert not CHECK.is_valid(settings)
    if value != "http://redis":  # no broker anywhere, but only the process can know that
        assert CHECK.is_valid({**settings, "process": {**settings["process"], "environment": "development"}})


def test_a_drill_in_production_has_to_be_allowed_in_the_schema_too() -> None:
    drill = {**good(), "fault": {"fault_error_rate": 0.2, "fault_allowed_in_production": True}}
    assert CHECK.is_valid(drill)
