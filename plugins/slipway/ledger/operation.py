"""What an operation on the ledger is: a generator that knows no driver.

It yields statements, is sent their rows, and returns its result, all in one transaction. Raising rolls everything back;
to refuse and still keep what was written (who was fenced off), an operation returns a :class:`Refusal`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from slipway.errors import RefusedError, SlipwayError
from slipway.ledger import chain
from slipway.ledger.redaction import refuse_secrets

if TYPE_CHECKING:
    from datetime import datetime

    from slipway.names import EventKind


class Query(NamedTuple):
    """One statement."""

    sql: str
    params: Sequence[object] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error to raise once the transaction was committed."""

    error: SlipwayError


Row: TypeAlias = Mapping[str, Any]
T = TypeVar("T")
Operation: TypeAlias = Generator[Query, list[Row], T]


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it has a number.

    :param at: when it happened, if not now.
    """

    kind: EventKind
    actor: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    at: datetime | None = None

    def __post_init__(self) -> None:
        refuse_secrets(dict(self.payload))
        refuse_secrets([self.actor, self.key], "actor or key")
        chain.canonical([self.actor, self.key, dict(self.payload)])
        if not self.actor:
            raise RefusedError("An event without an actor cannot be recorded.", mend="say who did it.")
