"""Airflow from outside, through its REST API, as any client would use it: start a run, and follow it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from slipway.errors import ExternalError, RefusedError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

VARIABLES = ("SLIPWAY_AIRFLOW_URL", "SLIPWAY_AIRFLOW_USER", "SLIPWAY_AIRFLOW_PASSWORD")
ENDED = frozenset({"success", "failed"})
LOOK_S = 1.0
ANSWER_S = 30.0
SILENCE_S = 120.0
"""A follower lives through a restart of the API server; a longer silence ends it."""
UNAUTHORIZED = 401
NOT_FOUND = 404
CONFLICT = 409
INVALID = frozenset({400, 422})
SHOWN = 500
ENDING = "slipway.ending"
"""Logger of the sentence with which an error of ours ends a task; `slipway.operators.ending` writes it."""


@dataclass(frozen=True)
class Login:
    """Who asks, and where. The password never shows in a repr."""

    url: str
    user: str
    password: str = field(repr=False)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> Login:
        """Read `VARIABLES`.

        :raises RefusedError: one of them is missing.
        """
        missing = [name for name in VARIABLES if not variables.get(name)]
        if missing:
            raise RefusedError(
                "where Airflow is, and who asks, is not known", found=f"not set: {', '.join(missing)}",
                mend="export them; `python -m runtime env` prints those of this machine's Airflow",
            )  # fmt: skip
        return cls(*(variables[name] for name in VARIABLES))


@dataclass(frozen=True)
class Failure:
    """What a failed task said last.

    :param kind: name of the exception, "" when the log has none.
    :param text: its words.
    """

    task: str
    kind: str
    text: str


class Airflow:
    """A client; use it with `with`. It logs in at its first question, and again when its token has expired."""

    def __init__(self, login: Login, *, transport: httpx.BaseTransport | None = None) -> None:
        import httpx

        self._login = login
        self._http = httpx.Client(base_url=login.url, timeout=ANSWER_S, trust_env=False, transport=transport)

    def __enter__(self) -> Airflow:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def require_awake(self, dag: str) -> None:
        """Make sure that a DAG is switched on.

        :raises RefusedError: it is paused.
        """
        if self._ask("GET", f"/dags/{dag}").get("is_paused"):
            raise RefusedError(f"the DAG {dag} is paused; nothing would happen", mend="switch it on in Airflow")

    def trigger(self, dag: str, conf: Mapping[str, Any], run_id: str) -> None:
        """Start a run.

        :raises SpecError: Airflow refuses the parameters.
        :raises RefusedError: the DAG is paused, or has a run of this id.
        """
        self.require_awake(dag)
        self._ask("POST", f"/dags/{dag}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)})

    def follow(self, dag: str, run_id: str) -> Iterator[tuple[str, str]]:
        """Yield each task and its state as it changes, ("", "") after each look, and at last ("", the run's state).

        :raises ExternalError: Airflow was silent for too long; the run itself goes on.
        """
        known: dict[str, str] = {}
        silent_since: float | None = None
        while True:
            try:
                state, changes = self._look(dag, run_id, known)
            except ExternalError:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > SILENCE_S:
                    raise
                state, changes = "", []
            else:
                silent_since = None
            yield from changes
            yield "", state if state in ENDED else ""
            if state in ENDED:
                return
            time.sleep(LOOK_S)

    def xcom(self, dag: str, run_id: str, task: str) -> str | None:
        """Return what a task returned, None when it returned nothing."""
        path = f"{_run(dag, run_id)}/taskInstances/{task}/xcomEntries/return_value"
        answer = self._send("GET", path)
        return str(answer.json()["value"]) if answer.is_success else None

    def failures(self, dag: str, run_id: str) -> list[Failure]:
        """Return what each failed task said last, the earliest first; no words where its log is gone."""
        tasks = self._tasks(dag, run_id)
        return [self._last_words(dag, run_id, task) for task in tasks if task["state"] == "failed"]

    def link(self, dag: str, run_id: str) -> str:
        """Return the page of a run."""
        return f"{self._login.url.rstrip('/')}/dags/{dag}/runs/{quote(run_id, safe='')}"

    def _look(self, dag: str, run_id: str, known: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
        # The run first: whatever its tasks do before it has ended is then seen in the same look.
        state = str(self._ask("GET", _run(dag, run_id))["state"])
        changes = []
        for task in self._tasks(dag, run_id):
            name, now = _name(task), str(task["state"])
            if task["state"] is not None and known.get(name) != now:
                known[name] = now
                changes.append((name, now))
        return state, changes

    def _tasks(self, dag: str, run_id: str) -> list[dict[str, Any]]:
        found = self._ask("GET", f"{_run(dag, run_id)}/taskInstances?limit=100")["task_instances"]
        return sorted(found, key=lambda task: str(task["start_date"] or "9"))

    def _last_words(self, dag: str, run_id: str, task: Mapping[str, Any]) -> Failure:
        path = f"{_run(dag, run_id)}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        answer = self._send("GET", f"{path}?full_content=true&map_index={task['map_index']}")
        lines = answer.json()["content"] if answer.is_success else []
        for line in reversed(lines):
            if not isinstance(line, Mapping):
                continue
            if line.get("logger") == ENDING and line.get("error"):
                return Failure(_name(task), str(line["error"]), str(line["event"]))
            if details := line.get("error_detail"):
                return Failure(_name(task), str(details[0]["exc_type"]), str(details[0]["exc_value"]))
        return Failure(_name(task), "", "")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self._send(method, path, body)
        if answer.is_success:
            return answer.json()
        what, found = f"Airflow refuses {method} {path}", f"{answer.status_code}: {_detail(answer)}"
        if answer.status_code == CONFLICT:
            raise RefusedError(what, found=found, mend="it was started already; give a new run another id")
        if answer.status_code == NOT_FOUND:
            raise RefusedError(
                what, found=found, mend="was the run deleted, or the DAG never parsed? Airflow lists them"
            )
        if answer.status_code in INVALID:
            raise SpecError(what, found=found, mend="correct the parameters; nothing was started")
        raise ExternalError(what, found=found)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        import httpx

        try:
            if "Authorization" not in self._http.headers:
                self._log_in()
            answer = self._http.request(method, f"/api/v2{path}", json=body)
            if answer.status_code == UNAUTHORIZED:
                self._log_in()
                answer = self._http.request(method, f"/api/v2{path}", json=body)
        except httpx.HTTPError as error:
            raise ExternalError(
                f"Airflow at {self._login.url} does not answer", found=f"{type(error).__name__}: {error}",
                mend="is it up? slipway rollback --direct needs none",
            ) from None  # fmt: skip
        return answer

    def _log_in(self) -> None:
        login = {"username": self._login.user, "password": self._login.password}
        answer = self._http.post("/auth/token", json=login)
        if not answer.is_success:
            raise RefusedError(
                f"Airflow at {self._login.url} refuses the login of {self._login.user}",
                found=f"status {answer.status_code}", mend=f"correct {VARIABLES[1]} and {VARIABLES[2]}",
            )  # fmt: skip
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _run(dag: str, run_id: str) -> str:
    return f"/dags/{dag}/dagRuns/{quote(run_id, safe='')}"


def _name(task: Mapping[str, Any]) -> str:
    if task["map_index"] < 0:
        return str(task["task_id"])
    return f"{task['task_id']} {task.get('rendered_map_index') or task['map_index']}"


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])[:SHOWN]
    except (ValueError, KeyError, TypeError):
        return answer.text[:SHOWN]
