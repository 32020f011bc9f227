"""Asks Prometheus. Raw values only: differences and verdicts are made elsewhere."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import MetricsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import httpx

SERVER_TIMEOUT = "4s"
SHOWN_QUERY = 300


@dataclass(frozen=True)
class Sample:
    """One series at one moment.

    :param labels: without ``__name__``, sorted.
    """

    labels: tuple[tuple[str, str], ...]
    value: float

    def label(self, name: str) -> str:
        """Return the value of a label, "" when it is not there, as Prometheus has it."""
        return dict(self.labels).get(name, "")

    def without(self, *names: str) -> tuple[tuple[str, str], ...]:
        """Return the other labels: what identifies the series when these tell its parts apart."""
        return tuple(pair for pair in self.labels if pair[0] not in names)


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server.

    :param web: a client whose base address is the server's.
    """

    web: httpx.Client

    def ask(self, query: str, *, at: datetime | None = None) -> list[Sample]:
        """Return the values of an instant query.

        :param at: moment, aware; now when None. The server looks back 5 minutes for a series' last value.
        :raises MetricsError: no answer, or no instant vector.
        """
        import httpx

        form = {"query": query, "timeout": SERVER_TIMEOUT}
        if at is not None:
            form["time"] = f"{at.timestamp():.3f}"
        try:
            answer = self.web.post("/api/v1/query", data=form)
            body = answer.json()
        except httpx.HTTPError as error:
            raise MetricsError(
                f"Prometheus at {self.web.base_url} does not answer", found=f"{type(error).__name__}: {error}",
                mend="look at Prometheus; no canary is blamed for its silence",
            ) from None  # fmt: skip
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise MetricsError(
                f"Prometheus at {self.web.base_url} answers with something that is no JSON",
                found=f"status {answer.status_code}: {answer.text[:200]!r}", mend="check monitoring.prometheus.url",
            ) from None  # fmt: skip
        return _samples(query, body)

    def scalar(self, query: str, *, at: datetime | None = None) -> float | None:
        """Return the one value of a query, None when there is none or it is no number."""
        found = self.ask(query, at=at)
        if len(found) > 1:
            raise MetricsError("the query gives more than one value", found=f"{len(found)} series for {query}")
        return found[0].value if found and math.isfinite(found[0].value) else None


def _samples(query: str, body: object) -> list[Sample]:
    asked = query if len(query) <= SHOWN_QUERY else query[:SHOWN_QUERY] + "..."
    if not isinstance(body, dict) or body.get("status") != "success":
        error = body.get("error", body) if isinstance(body, dict) else body
        raise MetricsError(
            f"Prometheus refuses the query {asked}", found=str(error)[:SHOWN_QUERY], mend="correct the metric's query"
        )
    try:
        kind, result = body["data"]["resultType"], body["data"]["result"]
        if kind != "vector":
            raise MetricsError(
                f"the query gives a {kind} and not a vector", found=asked, mend="correct the metric's query"
            )
        return _series(result)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise MetricsError(
            "Prometheus answers in another shape than its API", found=str(body)[:SHOWN_QUERY],
            mend="is monitoring.prometheus.url that of a Prometheus?",
        ) from None  # fmt: skip


def _series(result: list[Mapping[str, Any]]) -> list[Sample]:
    return [
        Sample(
            tuple(sorted((name, text) for name, text in item["metric"].items() if name != "__name__")),
            float(item["value"][1]),
        )
        for item in result
    ]
