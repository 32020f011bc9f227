"""What release spec and environment are built of: a closed base, references to secrets, and shared patterns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from slipway.spec.findings import HIDDEN, Finding, Step, is_secret, may_be_secret, names_secret, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

    from slipway.spec.reading import Document

DNS_LABEL = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
DNS_NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
_VARIABLE = r"^[A-Z_][A-Z0-9_]{0,127}$"
_CONNECTION = r"^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,199}$"


def _inside(path: str) -> str:
    """Keep a path inside the project: relative, and never upwards."""
    if path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise PydanticCustomError("path", "a path inside the project is relative and has no .. in it")
    return path


def _end(text: str) -> str:
    # `$` of a regular expression also matches before a last line break.
    if text.endswith("\n"):
        raise PydanticCustomError("line_break", "it ends with a line break")
    return text


Label = Annotated[str, Field(pattern=DNS_LABEL), AfterValidator(_end)]
"""A name of a Kubernetes object, a namespace, an application."""
HostName = Annotated[str, Field(pattern=DNS_NAME, max_length=253), AfterValidator(_end)]
ProjectPath = Annotated[str, Field(pattern=r"^[\w][\w./@+-]*$", max_length=400), AfterValidator(_inside)]
ValuesPath = Annotated[str, Field(pattern=r"^[A-Za-z][\w-]*(\.[A-Za-z][\w-]*){0,9}$", max_length=200)]
"""Keys of the chart's values, joined by dots: `backend.digest`."""
Sentence = Annotated[str, Field(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$"), AfterValidator(_end)]
HttpUrl = Annotated[
    str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s?#@]*)?$", max_length=500), AfterValidator(_end)
]
"""An address without user, query and fragment, so that no secret can hide in it."""
Seconds = Annotated[float, Field(ge=0, le=7 * 86400)]


class Spec(BaseModel):
    """Immutable, and closed: a misspelt key is an error and not a silence."""

    # Built on first use: every task parses its DAG file again, and most need one of the models or none.
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False, defer_build=True
    )


class Reference(Spec):
    """Where a secret lies, never the secret itself. Exactly one of its keys."""

    env: str | None = Field(
        default=None, pattern=_VARIABLE, description="Name of an environment variable of slipway's process."
    )
    connection: str | None = Field(
        default=None,
        pattern=_CONNECTION,
        description="Id of an Airflow connection; without Airflow: AIRFLOW_CONN_<ID>.",
    )
    file: str | None = Field(
        default=None, pattern=r"^/[\w./@+-]+$", max_length=400, description="Absolute path of a file that holds it."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.env, self.connection, self.file)) != 1:
            raise PydanticCustomError("reference", "exactly one of env, connection and file has to be set")
        return self

    def __str__(self) -> str:
        """Return where the secret lies, for messages."""
        if self.env is not None:
            return f"environment variable {self.env}"
        if self.connection is not None:
            return f"Airflow connection {self.connection}"
        return f"file {self.file}"


Model = TypeVar("Model", bound=Spec)


def build(model: type[Model], document: Document) -> tuple[Model | None, list[Finding]]:
    """Make a model of a document.

    :returns: the model, or None, and what is wrong; secrets that were written out are refused even where they fit.
    """
    findings = list(_written_out(document, (), document.value))
    hidden = {finding.path for finding in findings}
    made: Model | None = None
    try:
        # Strict, by way of JSON: the text "1" is no number, while a list may become a tuple and a word an enum.
        made = model.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            finding = _finding(model, document, detail)
            if finding.path not in hidden:
                findings.append(finding)
    return (None if findings else made), sorted(findings, key=lambda finding: finding.line or 0)


def _written_out(document: Document, path: tuple[Step, ...], value: object) -> Iterator[Finding]:
    """Find secrets that stand in the file themselves."""
    if isinstance(value, dict):
        for key, below in value.items():
            if is_secret(key):
                yield document.finding((*path, key), "a secret is written out as a key", found=HIDDEN)
            yield from _written_out(document, (*path, key), below)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _written_out(document, (*path, index), below)
    elif isinstance(value, str) and (is_secret(value) or (value and _promises(path) and not _is_name(path, value))):
        yield document.finding(
            path, "a secret is written out", found=HIDDEN,
            allowed="a reference: {env: NAME}, {connection: ID} or {file: /PATH}; "
            "the application's own secrets lie in its Kubernetes Secret",
        )  # fmt: skip


def _promises(path: Sequence[Step]) -> bool:
    return any(isinstance(step, str) and names_secret(step) for step in path[-2:])


def _is_name(path: Sequence[Step], value: str) -> bool:
    """Say whether a value under a telling key is only the name of something, as in a reference or a list of keys."""
    names = ("env", "connection", "file", "name", "first_install", "secret_name")
    if path[-1] in names or isinstance(path[-1], int):
        return not may_be_secret(value)
    return len(path) > 1 and path[-2] == "values"  # the place of a secret's name among the chart's values


def _finding(model: type[Spec], document: Document, detail: ErrorDetails) -> Finding:
    path = _path(document, detail)
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _known_keys(model, path[:-1], document)
        key = str(path[-1])
        near = nearest(key, known)
        # Its value is not shown: nobody knows what an unknown key holds.
        return document.finding(path, "unknown key", allowed=_listed(known), nearest=near)
    if kind == "missing":
        return document.finding(path, "the key is missing", allowed=_description(model, path, document))
    context = detail.get("ctx", {})
    what, allowed = _sentence(kind, detail["msg"], context)
    # People put the secret itself where a reference belongs.
    of_reference = Reference in (*_model_at(model, path, document), *_model_at(model, path[:-1], document))
    found = HIDDEN if of_reference else shown(path, detail["input"])
    return document.finding(path, what, found=found, allowed=allowed or _description(model, path, document))


def _path(document: Document, detail: ErrorDetails) -> tuple[Step, ...]:
    """Return an error's path in the file. pydantic's has more steps: the kind of a union, `[key]` for a key."""
    here: Any = document.value
    path: list[Step] = []
    for step in detail["loc"]:
        if _has(here, step):
            here = here[step]
        elif step != detail["loc"][-1] or detail["type"] not in ("missing", "extra_forbidden"):
            continue
        path.append(step)
    return tuple(path)


_SENTENCES = {
    "string_type": "not a text",
    "int_type": "not a whole number",
    "float_type": "not a number",
    "bool_type": "neither true nor false",
    "dict_type": "not a mapping",
    "model_type": "not a mapping",
    "model_attributes_type": "not a mapping",
    "tuple_type": "not a list",
    "list_type": "not a list",
    "string_pattern_mismatch": "not in the right form",
    "string_too_short": "too short",
    "string_too_long": "too long",
    "too_short": "too few items",
    "too_long": "too many items",
    "greater_than": "too small",
    "greater_than_equal": "too small",
    "less_than": "too large",
    "less_than_equal": "too large",
    "enum": "not one of the known words",
    "literal_error": "not one of the known words",
    "union_tag_invalid": "not one of the known kinds",
    "union_tag_not_found": "no kind is named",
    "date_from_datetime_parsing": "not a date",
    "date_parsing": "not a date",
    "date_type": "not a date",
    "datetime_from_date_parsing": "not a moment",
    "datetime_parsing": "not a moment",
    "datetime_type": "not a moment",
    "timezone_aware": "a moment without its time zone",
}


def _sentence(kind: str, message: str, context: dict[str, Any]) -> tuple[str, str | None]:
    """Word an error of pydantic. Its own message is used for our validators only: others may quote the input."""
    known = {
        "string_pattern_mismatch": f"text that matches {context.get('pattern')}",
        "greater_than": f"more than {context.get('gt')}",
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"{context.get('le')} or less",
        "string_too_short": f"{context.get('min_length')} characters or more",
        "string_too_long": f"{context.get('max_length')} characters or fewer",
        "too_short": f"{context.get('min_length')} or more",
        "too_long": f"{context.get('max_length')} or fewer",
        "enum": str(context.get("expected")),
        "literal_error": str(context.get("expected")),
        "union_tag_invalid": str(context.get("expected_tags")),
        "union_tag_not_found": "kind: and one of the words of the guide",
        "date_from_datetime_parsing": 'a date in quotes: "2026-12-31"',
        "date_parsing": 'a date in quotes: "2026-12-31"',
        "date_type": 'a date in quotes: "2026-12-31"',
        "datetime_from_date_parsing": 'a moment in quotes: "2026-12-31T18:00:00+08:00"',
        "datetime_parsing": 'a moment in quotes: "2026-12-31T18:00:00+08:00"',
        "datetime_type": 'a moment in quotes: "2026-12-31T18:00:00+08:00"',
        "timezone_aware": 'a moment in quotes: "2026-12-31T18:00:00+08:00"',
    }
    ours = kind not in _SENTENCES and kind in OWN_KINDS
    return (message if ours else _SENTENCES.get(kind, "not admitted here")), known.get(kind)


OWN_KINDS = frozenset({"path", "line_break", "reference", "rule"})
"""Kinds of errors that our validators raise; their sentences are ours and quote nothing."""


def rule(sentence: str) -> PydanticCustomError:
    """Return the error of a rule between several keys of one model.

    :param sentence: says what has to be, and quotes nothing that could be a secret.
    """
    return PydanticCustomError("rule", sentence.replace("{", "{{").replace("}", "}}"))


def _model_at(model: type[Spec], path: Sequence[Step], document: Document) -> list[type[Spec]]:
    """Return the models that may describe a place; several where it has several kinds."""
    models: list[type[Spec]] = [model]
    here: Any = document.value
    for step in path:
        here = here[step] if _has(here, step) else None
        models = [kind for one in models for kind in _below(one, step)]
    if isinstance(here, dict) and len(models) > 1 and "kind" in here:
        named = here["kind"]  # of any type: the file is not checked yet
        same = [one for one in models if named in get_args(one.model_fields["kind"].annotation)]
        return same or models
    return models


def _has(container: Any, step: Step) -> bool:
    if isinstance(container, dict):
        return step in container
    return isinstance(container, list) and isinstance(step, int) and 0 <= step < len(container)


def _below(model: type[Spec], step: Step) -> list[type[Spec]]:
    if isinstance(step, str) and step in model.model_fields:
        return list(models_in(model.model_fields[step].annotation))
    return [model]  # an item of a list, or of a mapping with free keys


def models_in(annotation: Any) -> Iterator[type[Spec]]:
    """Yield the models in an annotation such as `tuple[Step, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from models_in(inner)


def _known_keys(model: type[Spec], path: Sequence[Step], document: Document) -> list[str]:
    return sorted({name for one in _model_at(model, path, document) for name in one.model_fields})


def _listed(keys: list[str]) -> str | None:
    return ", ".join(keys) or None


def _description(model: type[Spec], path: Sequence[Step], document: Document) -> str | None:
    while path and isinstance(path[-1], int):
        path = path[:-1]
    if not path:
        return None
    for one in _model_at(model, path[:-1], document):
        field = one.model_fields.get(str(path[-1]))
        if field is not None and field.description:
            return field.description
    return None
