"""What the runtime asks of Airflow's REST API: is it well, and has it parsed the DAG files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

TIMEOUT_S = 5
PAGE = 100


@dataclass(frozen=True)
class Parsed:
    """What Airflow knows of the DAG files.

    :param files: names of the files, relative to the DAG folder, in which it found DAGs since the given moment.
    :param dags: the DAGs in them.
    :param errors: what went wrong, by file.
    """

    files: frozenset[str]
    dags: tuple[str, ...]
    errors: dict[str, str]


class Api:
    """One session at the API.

    :param url: where it is.
    :param user: a user of it.
    :param password: the user's.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._login = {"username": user, "password": password}
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def health(self) -> dict[str, str]:
        """Return each part's health by Airflow's name of it; empty while the API server does not answer."""
        try:
            answer = self._client.get("/api/v2/monitor/health")
            answer.raise_for_status()
        except httpx.HTTPError:
            return {}
        return {name: str(part.get("status")) for name, part in answer.json().items()}

    def parsed(self, since: datetime) -> Parsed:
        """Return what was parsed after a moment.

        :param since: with its time zone.
        :raises httpx.HTTPError: the API does not answer, or refuses the login.
        """
        if "Authorization" not in self._client.headers:
            token = self._client.post("/auth/token", json=self._login)
            token.raise_for_status()
            self._client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        fresh = [dag for dag in self._get("dags", "dags") if _moment(dag["last_parsed_time"]) >= since]
        errors = [item for item in self._get("importErrors", "import_errors") if _moment(item["timestamp"]) >= since]
        return Parsed(
            files=frozenset(str(dag["relative_fileloc"]) for dag in fresh),
            dags=tuple(sorted(str(dag["dag_id"]) for dag in fresh)),
            errors={str(item["filename"]): str(item["stack_trace"]) for item in errors},
        )

    def _get(self, path: str, key: str) -> list[dict[str, Any]]:
        answer = self._client.get(f"/api/v2/{path}", params={"limit": PAGE})
        answer.raise_for_status()
        return list(answer.json()[key])


def _moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "1970-01-01T00:00:00+00:00")
