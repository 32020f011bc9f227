"""The settings in the groups of the YAML files; variables stay flat, because an environment has no levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from pydantic import SecretStr

from app.settings import schema

if TYPE_CHECKING:
    from pydantic import BaseModel

_MODELS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("process", schema.ProcessSettings),
    ("api", schema.ApiSettings),
    ("database", schema.DatabaseSettings),
    ("celery", schema.BrokerSettings),
    ("scan", schema.ScanSettings),
    ("merge", schema.MergeSettings),
    ("monitoring", schema.ObservationSettings),
    ("fault", schema.FaultSettings),
)
_HIVE = ("storage_roots", "storage_timeout_s")
"""The files of the Hive warehouse, which scans and merges share; to the operator they are a group of their own."""
FROM_THE_IMAGE = frozenset({"version"})
"""What the image says of itself; a file that said otherwise would make the metrics lie about the version."""

DESCRIPTIONS = {
    **{name: (model.__doc__ or "").strip() for name, model in _MODELS},
    "hive": "The file trees of the Hive warehouse.",
}


def is_secret(name: str) -> bool:
    """Say whether a setting is a secret: those come from a Kubernetes Secret and stand in no file."""
    annotation = schema.Settings.model_fields[name].annotation
    return annotation is SecretStr or SecretStr in get_args(annotation)


def groups() -> dict[str, list[str]]:
    """Return the fields of each group that may stand in a YAML file: neither secrets nor what the image says."""
    found: dict[str, list[str]] = {}
    for group, model in _MODELS:
        if group == "scan":
            found["hive"] = list(_HIVE)
        found[group] = [
            name
            for name in model.model_fields
            if not is_secret(name) and name not in FROM_THE_IMAGE and name not in _HIVE
        ]
    return found
