"""The configuration guide: a hand-written introduction, and tables made of the schemas."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic_core import PydanticUndefined

from slipway.spec.environment import Environment
from slipway.spec.model import Reference, Spec, models_in
from slipway.spec.release import ReleaseSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from slipway.spec.catalog import Catalog

INTRODUCTION = Path(__file__).with_name("guide.md")
_HEAD = ["| key | type | default | meaning |", "|---|---|---|---|"]


def render(catalog: Catalog) -> str:
    """Return docs/operations/configuration-guide.md.

    :param catalog: the project, whose applications' settings are described, too.
    """
    parts = [
        INTRODUCTION.read_text(encoding="utf-8").rstrip(),
        "## Environments: include/config/NAME.yaml\n\n" + _model(Environment),
        "## Release specs: include/releases/NAME.yaml\n\n" + _model(ReleaseSpec),
    ]
    for name in catalog.releases():
        settings = catalog.release(name).settings
        if settings is not None:
            schema = json.loads((catalog.root / settings.schema_path).read_text(encoding="utf-8"))
            parts.append(f"## Settings of {name}\n\n" + _settings(schema, settings.schema_path, settings.values))
    return "\n\n".join(parts) + "\n"


def _model(model: type[Spec]) -> str:
    return "\n".join([*_HEAD, *(_line(*row) for row in _rows(model, ""))])


def _rows(model: type[Spec], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        yield f"`{key}`", _kind(field.annotation, _limits(field)), _default(field), field.description or ""
        below = [inner for inner in models_in(field.annotation) if inner is not Reference]
        prefix_below = f"{key}{_suffix(field.annotation)}."
        if len(below) > 1:
            kinds = ", ".join(f"`{_tag(inner)}`" for inner in below)
            meaning = "; ".join(inner.model_fields["kind"].description or "" for inner in below) + "."
            yield f"`{prefix_below}kind`", kinds, "required", meaning.replace(".;", ";").replace("..", ".")
        for inner in below:
            tag = _tag(inner) if len(below) > 1 else ""
            yield from (_tagged(row, tag) for row in _rows(inner, prefix_below) if not tag or "kind`" not in row[0])


def _tag(model: type[Spec]) -> str:
    return str(get_args(model.model_fields["kind"].annotation)[0])


def _tagged(row: tuple[str, str, str, str], tag: str) -> tuple[str, str, str, str]:
    """Say with which kind a key goes, where a place has several."""
    return (row[0], row[1], row[2], f"{tag}: {row[3]}") if tag else row


def _suffix(annotation: Any) -> str:
    """Return how a path goes on below a list or a mapping with free keys."""
    for one in _alternatives(annotation):
        if get_origin(one) is tuple:
            return "[]"
        if get_origin(one) is dict:
            return ".NAME"
    return ""


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        return [inner for one in get_args(annotation) for inner in _alternatives(one)]
    return [annotation]


_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything"}


def _kind(annotation: Any, limits: str = "") -> str:
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        return _kind(inner, limits or _words([note for top in notes for note in getattr(top, "metadata", [top])]))
    alternatives = [one for one in _alternatives(annotation) if one is not type(None)]
    words = list(dict.fromkeys(_one(one) for one in alternatives))
    return " or ".join(words) + (f", {limits}" if limits else "")


def _one(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value) if isinstance(value, bool) else value}`" for value in arguments)
    if origin is tuple:
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"mapping of {_kind(arguments[0])} to {_kind(arguments[1])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    if isinstance(kind, type) and issubclass(kind, Spec):
        return "reference" if kind.__name__ == "Reference" else "mapping"
    return _NAMES.get(kind) or {"date": "date in quotes", "datetime": "moment in quotes"}.get(
        getattr(kind, "__name__", ""), "moment in quotes"
    )


def _limits(field: FieldInfo) -> str:
    return _words(field.metadata)


def _words(notes: list[Any]) -> str:
    words = []
    for note in notes:
        for kind, text, attribute in (
            (Ge, "at least", "ge"), (Gt, "more than", "gt"), (Le, "at most", "le"), (Lt, "less than", "lt"),
            (MinLen, "least length", "min_length"), (MaxLen, "greatest length", "max_length"),
        ):  # fmt: skip
            if isinstance(note, kind):
                words.append(f"{text} {getattr(note, attribute)}")
    return ", ".join(words)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None or isinstance(value, Spec) or value in ((), {}):
        return ""
    if isinstance(value, tuple):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{json.dumps(value, ensure_ascii=False)}`" if not isinstance(value, str) else f"`{value}`"


def _settings(schema: dict[str, Any], path: str, values: str) -> str:
    lines = [
        f"`{values}.GROUP.NAME` in the chart's values, `applications.NAME.settings.GROUP.NAME` in an environment.",
        f"The application itself wrote the schema, `{path}`:",
        "",
        f"> {schema.get('description', schema.get('title', ''))}",
        "",
        *_HEAD,
    ]
    for group, inner in schema["properties"].items():
        required = inner.get("required", [])
        for name, field in inner["properties"].items():
            default = "required" if name in required else f"`{json.dumps(field.get('default'))}`"
            lines.append(_line(f"`{group}.{name}`", _schema_kind(field), default, field.get("description", "")))
    return "\n".join(lines)


def _schema_kind(field: dict[str, Any]) -> str:
    from slipway.spec.checks import schema_words

    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    plain = {key: value for key, value in field.items() if key != "pattern"}
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    kind = "list of text" if field["type"] == "array" else names[field["type"]]
    limits = (schema_words(plain) or "").split(", ")[1:]
    return ", ".join([kind, *limits])


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
