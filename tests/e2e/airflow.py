"""What the end-to-end tests say to Airflow: its REST API as a person with a login uses it, ``python -m runtime``."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import httpx

from runtime import keys, settings
from tests.e2e.cluster import eventually

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ENDED = frozenset({"success", "failed"})
"""The states in which a run stays."""
PAGE = 100
READING_TIME = timedelta(seconds=3)
TIMEOUT_S = 15


@dataclass(frozen=True)
class Run:
    """One run of a DAG."""

    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        """Where it is in the API."""
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}"


class Airflow(httpx.Client):
    """A session of one user.

    Every method raises httpx.HTTPStatusError with the server's words when a request is refused.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        login = {"username": user, "password": password}
        answer = httpx.post(f"{url}/auth/token", json=login, timeout=TIMEOUT_S, trust_env=False)
        _refuse_errors(answer)
        super().__init__(
            base_url=f"{url}/api/v2",
            headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
            timeout=TIMEOUT_S,
            trust_env=False,
            event_hooks={"response": [_refuse_errors]},
        )

    @classmethod
    def login(cls, user: str = "admin", environ: Mapping[str, str] | None = None) -> Self:
        """Log in at the running Airflow of this machine.

        :param user: ``admin`` or ``viewer``.
        :param environ: the SLIPWAY_RUNTIME_* variables of another one.
        """
        chosen = settings.read(environ)
        return cls(chosen.url, user, keys.read(chosen.home).logins[user])

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, run_id: str | None = None) -> Run:
        """Start a run, as the form in the UI does."""
        body = {"logical_date": None, "conf": dict(conf or {}), "dag_run_id": run_id}
        return Run(dag_id, self.post(f"/dags/{dag_id}/dagRuns", json=body).json()["dag_run_id"])

    def state(self, run: Run) -> str:
        """Return a run's state: queued, running, success, failed."""
        return str(self.get(run.path).json()["state"])

    def wait(self, run: Run, until: Collection[str] = ENDED, *, within_s: float) -> str:
        """Wait for a state of a run, and return it; what the tasks did is told when it does not come.

        :param until: the states to wait for.
        """
        try:
            return eventually(
                f"{run.dag_id} {run.run_id} in {', '.join(sorted(until))}",
                lambda: state if (state := self.state(run)) in until else None,
                within_s=within_s,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.state(run)}, its tasks: {self.tasks(run)}") from None

    def instances(self, run: Run) -> list[dict[str, Any]]:
        """Return the task instances of a run, as the API writes them."""
        found = self.get(f"{run.path}/taskInstances", params={"limit": PAGE}).json()
        return list(found["task_instances"])

    def tasks(self, run: Run) -> dict[str, str | None]:
        """Return each task's state by its id, or ``id[index]`` of a mapped task; None before it begins."""
        return {_name(item): item["state"] for item in self.instances(run)}

    def wait_for_task(self, run: Run, task_id: str, until: Collection[str], *, within_s: float) -> str:
        """Wait for a state of one task, and return it."""
        return eventually(
            f"{task_id} of {run.run_id} in {', '.join(sorted(until))}",
            lambda: state if (state := self.tasks(run).get(task_id)) in until else None,
            within_s=within_s,
        )

    def tries(self, run: Run, task_id: str, *, index: int = -1) -> int:
        """Return how often a task was started.

        :param index: which one of a mapped task.
        """
        path = f"{run.path}/taskInstances/{task_id}" + (f"/{index}" if index >= 0 else "")
        return int(self.get(path).json()["try_number"])

    def log(self, run: Run, task_id: str, *, attempt: int | None = None, index: int = -1) -> str:
        """Return what a task said, one message a line.

        :param attempt: which try, counted from 1; default: the last.
        :param index: which one of a mapped task.
        """
        number = attempt or self.tries(run, task_id, index=index)
        path = f"{run.path}/taskInstances/{task_id}/logs/{number}"
        found = self.get(
            path, params={"map_index": index, "full_content": True}, headers={"Accept": "application/json"}
        )
        return "\n".join(_message(line) for line in found.json()["content"])

    def xcom(self, run: Run, task_id: str, key: str = "return_value", *, index: int = -1) -> Any:
        """Return what a task left for the others."""
        path = f"{run.path}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(path, params={"map_index": index}).json()["value"]

    def mark_failed(self, run: Run, task_id: str | None = None) -> None:
        """Mark a run, or one of its tasks, as failed, as a person does in the UI."""
        if task_id is None:
            self.patch(run.path, json={"state": "failed"})
        else:
            self.patch(f"{run.path}/taskInstances/{task_id}", json={"new_state": "failed"})

    def clear(self, run: Run, *task_ids: str) -> None:
        """Have tasks of a run, or all of them, run again."""
        if task_ids:
            body = {"dry_run": False, "dag_run_id": run.run_id, "task_ids": list(task_ids), "only_failed": False}
            self.post(f"/dags/{run.dag_id}/clearTaskInstances", json=body)
        else:
            self.post(f"{run.path}/clear", json={"dry_run": False, "only_failed": False})

    def remove(self, run: Run) -> None:
        """Delete a run and all that Airflow knows of it."""
        self.delete(run.path)

    def respond(
        self, run: Run, task_id: str, *options: str, params: Mapping[str, Any] | None = None, index: int = -1
    ) -> None:
        """Answer a task that waits for a person, as late as a person would.

        Airflow 3.3.2 fails a task that goes on before the executor has reported the end of its first half ("finished
        with state success, but the task instance's state attribute is queued"); a program can be that quick.
        """
        path = f"{run.path}/taskInstances/{task_id}/{index}/hitlDetails"
        asked = datetime.fromisoformat(self.get(path).json()["created_at"])
        eventually("the time that a person needs", lambda: datetime.now(UTC) - asked >= READING_TIME, within_s=10)
        self.patch(path, json={"chosen_options": list(options), "params_input": dict(params or {})})


def runtime(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python -m runtime`` as a user does; the exit code is the caller's business."""
    command = [sys.executable, "-m", "runtime", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=240, check=False, env=environ)


def _refuse_errors(answer: httpx.Response) -> None:
    if answer.is_error:
        answer.read()
        raise httpx.HTTPStatusError(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}",
            request=answer.request,
            response=answer,
        )


def _name(item: Mapping[str, Any]) -> str:
    return str(item["task_id"]) if item["map_index"] < 0 else f"{item['task_id']}[{item['map_index']}]"


def _message(line: str | Mapping[str, Any]) -> str:
    if isinstance(line, str):
        return line
    # What an exception says stands beside the message, one entry an exception.
    raised = [str(one.get("exc_value", "")) for one in line.get("error_detail") or []]
    return "\n".join([str(line.get("event", line)), *raised])
