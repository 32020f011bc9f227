"""The Airflow of this machine, through its REST API, as any client would use it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENDED = frozenset({"success", "failed"})
LOOK_S = 1.0
TOKEN_S = 20 * 3600
TIMEOUT_S = 30


@dataclass(frozen=True)
class Login:
    """Who asks, and where."""

    url: str
    user: str
    password: str


class Airflow:
    """A client; use it with `with`."""

    def __init__(self, login: Login) -> None:
        self._http = httpx.Client(base_url=login.url, timeout=TIMEOUT_S, trust_env=False)
        answer = self._http.post("/auth/token", json={"username": login.user, "password": login.password})
        answer.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def __enter__(self) -> Airflow:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def trigger(self, dag: str, conf: Mapping[str, Any], run_id: str) -> None:
        """Start a run."""
        self._ask("POST", f"/dags/{dag}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)})

    def follow(self, dag: str, run_id: str) -> Iterator[tuple[str, str]]:
        """Yield each task and its state as it changes, until the run has ended; the last pair is ("", run's state)."""
        known: dict[str, str] = {}
        while True:
            state = str(self._ask("GET", f"/dags/{dag}/dagRuns/{run_id}")["state"])
            found = self._ask("GET", f"/dags/{dag}/dagRuns/{run_id}/taskInstances?limit=200")["task_instances"]
            for task in sorted(found, key=lambda one: str(one["start_date"] or "9")):
                index = "" if task["map_index"] < 0 else f" {task.get('rendered_map_index') or task['map_index']}"
                name, now = task["task_id"] + index, str(task["state"])
                if known.get(name) != now:
                    known[name] = now
                    yield name, now
            if state in ENDED:
                yield "", state
                return
            time.sleep(LOOK_S)

    def xcom(self, dag: str, run_id: str, task: str) -> str | None:
        """Return what a task returned, None when it returned nothing."""
        answer = self._http.get(f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value")
        return str(answer.json()["value"]) if answer.is_success else None

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self._http.request(method, f"/api/v2{path}", json=body)
        if answer.is_error:
            raise RuntimeError(f"Airflow refuses {method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()
