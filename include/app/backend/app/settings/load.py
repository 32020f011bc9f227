"""Read the settings, or say in sentences why they are refused."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, get_args

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from app.errors import ConfigurationError
from app.settings.findings import HIDDEN, Finding, shown, shown_url
from app.settings.production import refusals
from app.settings.schema import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

KNOWN = {PREFIX + name.upper(): name for name in Settings.model_fields}


def load_settings(env_file: Path | None = None) -> Settings:
    """Read the settings from the environment, and from a file below it.

    :param env_file: a .env file; the environment wins over it. Nothing is read from the working directory
        by itself, so that a forgotten development file cannot reach production.
    :raises ConfigurationError: with every finding: place, value found (never a secret's), what is allowed,
        and what to do.
    """
    sources = _sources(env_file)
    findings = [_unknown(name, place) for name, (place, _) in sources.items() if name not in KNOWN]
    settings = None
    try:
        settings = Settings(_env_file=env_file)
    except ValidationError as error:
        # The exception is not chained: its input may hold a secret.
        findings += [_invalid(detail, sources) for detail in error.errors(include_url=False, include_context=False)]
    if settings is not None:
        findings += refusals(settings)
    if findings or settings is None:
        listed = "\n".join(finding.render() for finding in findings)
        raise ConfigurationError(f"{len(findings)} setting(s) refused\n{listed}") from None
    return settings


def _sources(env_file: Path | None) -> dict[str, tuple[str, str]]:
    """Return every variable with our prefix: name -> (place, value), the environment winning."""
    found: dict[str, tuple[str, str]] = {}
    if env_file is not None:
        found.update(_ours(_read(env_file), f"{env_file}, "))
    found.update(_ours(os.environ, ""))
    return found


def _ours(values: Mapping[str, str | None], where: str) -> dict[str, tuple[str, str]]:
    return {
        name.upper(): (where + name, value or "") for name, value in values.items() if name.upper().startswith(PREFIX)
    }


def _read(env_file: Path) -> Mapping[str, str | None]:
    if not env_file.is_file():  # the library would take a missing file for an empty one
        raise ConfigurationError(f"{env_file}: no such file\n  do        correct ENV_FILE")
    try:
        return dotenv_values(env_file, interpolate=False)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigurationError(
            f"{env_file}: cannot be read ({type(error).__name__})\n"
            "  expected  lines of NAME=VALUE in UTF-8\n"
            "  do        compare it with .env.production.example"
        ) from None


def _unknown(name: str, place: str) -> Finding:
    nearest = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.6)
    mend = f'rename it to "{nearest[0]}"' if nearest else "remove it, or see .env.production.example"
    # Its value is not shown: a mistyped name may well hold a secret.
    return Finding(place, "unknown setting", HIDDEN, "a name of .env.production.example", mend)


def _invalid(detail: ErrorDetails, sources: Mapping[str, tuple[str, str]]) -> Finding:
    field = str(detail["loc"][0]) if detail["loc"] else ""
    field = field.lower().removeprefix(PREFIX.lower())
    name = PREFIX + field.upper()
    place, value = sources.get(name, (name, ""))
    description = Settings.model_fields[field].description if field in Settings.model_fields else None
    if detail["type"] == "missing" or not value:
        return Finding(place, "the setting is missing", None, description or "a value", "set it")
    return Finding(place, _sentence(detail), _shown(field, value), description or "a valid value", "correct the value")


def _sentence(detail: ErrorDetails) -> str:
    text = detail["msg"]
    return text[:1].lower() + text[1:]


def _shown(field: str, value: str) -> str:
    info = Settings.model_fields.get(field)
    if info is None or info.annotation is SecretStr or SecretStr in get_args(info.annotation):
        return HIDDEN
    return shown_url(value) if field.endswith(("_url", "_roots", "_origins")) else shown(value)
