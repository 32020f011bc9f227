"""What travels in a task: readable by the version before and after.

Rules: a field is only ever added, with a default; a reader ignores what it does not know and takes the
default for what is missing; a writer leaves out the fields that are newer than its own payload schema
(app/release.py).
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import PayloadError

SINCE = "since"
"""Payload schema that brought a field; 1 when a field does not say."""


class Payload(BaseModel):
    """Every payload; `schema_version` says who wrote it, and is never a reason to refuse."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = 1
    sent_by: str = Field("unknown", max_length=80, json_schema_extra={SINCE: 2})
    """Version that sent the task: tells in the log which side of a canary it came from."""


class TaskPayload(Payload):
    """Names the row that holds all the rest: a message that is lost or doubled changes nothing."""

    task_id: int = Field(ge=1)


class ScheduledPayload(Payload):
    """Of a task of the beat, which needs nothing but the turn of the clock."""


class ProbePayload(Payload):
    """Of a task that only proves that its queue is worked off.

    :param marker: comes back in the worker's log.
    :param work_s: how long the task takes.
    :param fail: whether it fails in the end, to prove that failures are counted.
    """

    marker: str = Field("", max_length=200)
    work_s: float = Field(0, ge=0, le=3600)
    fail: bool = Field(default=False, json_schema_extra={SINCE: 2})


P = TypeVar("P", bound=Payload)


def write_payload(payload: Payload, payload_schema: int, version: str) -> dict[str, Any]:
    """Return the payload as it travels.

    :param payload_schema: newest schema whose fields may be written.
    :param version: of the sender.
    """
    stamped = payload.model_copy(update={"schema_version": payload_schema, "sent_by": version})
    newer = {
        name for name, field in type(payload).model_fields.items() if _since(field.json_schema_extra) > payload_schema
    }
    return stamped.model_dump(mode="json", exclude=newer)


def read_payload(kind: type[P], raw: object) -> P:
    """Read a payload of any version.

    :raises PayloadError: not a payload at all, or without what every version needs; names the fields, not
    their values.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in detail["loc"]) or "payload" for detail in error.errors()})
        raise PayloadError(f"{kind.__name__}: cannot be read, wrong or missing: {', '.join(fields)[:200]}") from None


def _since(extra: object) -> int:
    since = extra.get(SINCE, 1) if isinstance(extra, dict) else 1
    return since if isinstance(since, int) else 1
