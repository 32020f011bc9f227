"""What the judge says: a verdict, the rule that decided, sentences for a person, numbers for the dossier."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from slipway.names import Rule, Verdict  # noqa: TC001 - pydantic reads the annotation

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Judgement(BaseModel):
    """One look at a canary.

    :param rule: that decided; None for a PASS, and for a HOLD that only waits for its time.
    :param reasons: sentences with numbers and units, the deciding one first; never empty.
    :param numbers: what was computed, by name: rates 0 to 1, seconds (`..._s`), `evidence_..._log10` (decadic
        logarithm of an e-value) beside the `evidence_needed_log10` at which it decides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    rule: Rule | None = None
    reasons: Annotated[tuple[str, ...], Field(min_length=1)]
    numbers: dict[str, Finite] = {}

    def to_json(self) -> str:
        """Return it as JSON text."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote.

        :raises pydantic.ValidationError: it is something else.
        """
        return cls.model_validate_json(text)
