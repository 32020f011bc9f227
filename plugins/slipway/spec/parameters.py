"""What a person types when a release or a rollback is started: data, never a command, a template or a path.

Everything but the sentences has a pattern that leaves no room for a metacharacter, and the sentences are only
ever shown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from slipway.errors import SpecError
from slipway.spec import version as versions
from slipway.spec.findings import Finding, refusal
from slipway.spec.model import Label, Spec, build, rule
from slipway.spec.reading import Document
from slipway.spec.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_BYTES = 20_000


def _strict_version(text: str) -> str:
    try:
        Version(text)
    except SpecError:
        raise rule("not a version such as 1.0.0 or 1.1.0-rc.1") from None
    return text


VersionText = Annotated[str, AfterValidator(_strict_version)]
Summary = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
"""Text of one or more lines, without control characters."""


class ReleaseParameters(Spec):
    """The form of the release."""

    application: Label = Field(description="What is released: the name of a file in include/releases.")
    version: VersionText = Field(description="Version to release, for example 1.0.0 or 1.1.0-rc.1; released once.")
    environment: Label = Field(description="Where it goes: the name of a file in include/config.")
    summary: Summary = Field(
        default="", description="What changes for users, in a few sentences; messages and dossier say it."
    )
    ignore_freeze_reason: Summary = Field(default="", description="Why this is released in a freeze; empty: it is not.")
    supersede_reason: Summary = Field(
        default="",
        description="Why the release before this one is promoted before its bake is over; empty: it is waited for.",
    )
    drill_error_rate: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0,
        description="Rehearsals: build a version that fails this share of its requests. Refused in production.",
    )

    @property
    def parsed_version(self) -> Version:
        """Return the version with its order."""
        return Version(self.version)


class RollbackParameters(Spec):
    """The form of the rollback."""

    application: Label = Field(description="What goes back: the name of a file in include/releases.")
    environment: Label = Field(description="Where: the name of a file in include/config.")
    reason: Annotated[Summary, Field(min_length=3)] = Field(description="Why; messages and dossier say it.")


Parameters = TypeVar("Parameters", ReleaseParameters, RollbackParameters)


def parse_parameters(model: type[Parameters], conf: Mapping[str, Any]) -> Parameters:
    """Read what was typed.

    :param model: ReleaseParameters or RollbackParameters.
    :param conf: as Airflow or the command line hand it over; null counts as left out.
    :raises SpecError: with every finding; an unknown key comes with the nearest one.
    """
    try:
        plain = json.loads(json.dumps({key: value for key, value in conf.items() if value is not None}))
    except (TypeError, ValueError, RecursionError, AttributeError):
        raise refusal("the parameters", [Finding("parameters", "", None, "not JSON", allowed="KEY: VALUE")]) from None
    if len(json.dumps(plain)) > MAX_BYTES:
        raise refusal("the parameters", [Finding("parameters", "", None, "too long", allowed=f"{MAX_BYTES} bytes")])
    made, findings = build(model, Document("parameters", plain))
    if made is None:
        raise refusal("the parameters", findings)
    return made


def form(
    model: type[ReleaseParameters] | type[RollbackParameters], applications: Sequence[str], environments: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Describe the form: name -> default and JSON Schema of each field, as Airflow's Param takes them.

    :param applications: names that may be chosen.
    :param environments: names that may be chosen, the first one being offered.
    """
    fields: dict[str, dict[str, Any]] = {}
    for name, info in model.model_fields.items():
        field: dict[str, Any] = {"title": name.replace("_", " ").capitalize(), "description": info.description}
        if name == "application":
            field |= {"type": "string", "enum": list(applications), "default": next(iter(applications), None)}
        elif name == "environment":
            field |= {"type": "string", "enum": list(environments), "default": next(iter(environments), None)}
        elif name == "version":
            # No default: a version that nobody typed would be released by a careless click.
            field |= {"type": "string", "pattern": versions.PATTERN, "maxLength": versions.MAX_LENGTH}
        elif info.annotation is bool:
            field |= {"type": "boolean", "default": info.default}
        elif info.annotation is float:
            field |= {"type": "number", "minimum": 0, "maximum": 1, "default": info.default}
        else:
            # Airflow's form wants text wherever null is not among the types, and keeps its button off without it.
            required = info.is_required()
            field |= {"type": "string" if required else ["string", "null"], "maxLength": 2000, "format": "multiline"}
            field |= {"minLength": 3} if required else {"default": info.default}
        fields[name] = field
    return fields
