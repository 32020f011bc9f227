"""One Job to its end: started once, joined when it is there, and brought back with its last words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from lightkube.core.exceptions import ApiError
from slipway.errors import ClusterError
from slipway.hooks import jobs
from slipway.hooks.jobs import JobEnd, Jobs

JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate-1"}, "spec": {"template": {}}}


def api_error(code: int) -> ApiError:
    request = httpx2.Request("GET", "https://api.test")
    body = {"kind": "Status", "code": code, "reason": "Reason", "message": "no"}
    return ApiError(request=request, response=httpx2.Response(code, json=body, request=request))


class Cluster:
    """A namespace in which a Job ends after some looks.

    :param ends: condition of its end; None for a Job that never ends.
    :param there: the Job exists before anybody starts it.
    """

    namespace = "shop"

    def __init__(
        self,
        ends: str | None = "Complete",
        *,
        looks: int = 2,
        there: bool = False,
        reason: str = "",
        exit_code: int = 0,
    ) -> None:
        self.ends, self.looks, self.there = ends, looks, there
        self.reason, self.exit_code = reason, exit_code
        self.created: list[Any] = []
        self.log_error: Exception | None = None
        self.create_error: Exception | None = None

    def get(self, _: object, __: str) -> Any:
        if not self.there:
            raise api_error(404)
        self.looks -= 1
        ended = [{"type": self.ends, "status": "True", "reason": self.reason}] if self.looks < 0 and self.ends else []
        waiting = [{"type": "Suspended", "status": "False"}, {"type": "Complete", "status": "False"}]
        return SimpleNamespace(to_dict=lambda: {"status": {"conditions": waiting + ended}})

    def create(self, job: Any) -> None:
        self.created.append(job)
        self.there = True
        if self.create_error:
            raise self.create_error

    def list(self, _: object, **how: Any) -> list[Any]:
        assert how["labels"] == {"job-name": "migrate-1"}
        status = {"containerStatuses": [{"state": {"terminated": {"exitCode": self.exit_code}}}]}
        pod = {"metadata": {"name": "migrate-1-x"}, "status": status}
        return [SimpleNamespace(to_dict=lambda: pod)]

    def log(self, _: str, **__: Any) -> list[str]:
        if self.log_error:
            raise self.log_error
        return ["INFO running 0003", "", "INFO done"]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LOOK_S", 0)


def run(cluster: Cluster, *, within_s: float = 5) -> tuple[JobEnd, list[str]]:
    lines: list[str] = []
    return Jobs(cluster, lines.append).run(JOB, within_s=within_s), lines  # type: ignore[arg-type]


def test_a_job_is_started_and_its_log_brought_back() -> None:
    cluster = Cluster()

    end, lines = run(cluster)

    assert end == JobEnd("migrate-1", True, "", 0, ("INFO running 0003", "INFO done"))
    assert end.require("never raised") is end
    assert lines == ["INFO running 0003", "INFO done"]
    assert [job.metadata.name for job in cluster.created] == ["migrate-1"]


def test_a_job_that_is_there_is_joined() -> None:
    """A step that is taken again finds the Job of the first time."""
    cluster = Cluster(there=True)

    end, lines = run(cluster)

    assert (end.succeeded, cluster.created) == (True, [])
    assert lines[0] == "Job migrate-1 is there already; waiting for its end"


def test_a_job_that_somebody_created_in_the_same_moment_is_joined() -> None:
    cluster = Cluster()
    cluster.create_error = api_error(409)

    assert run(cluster)[0].succeeded


def test_a_job_that_is_refused_is_an_error() -> None:
    cluster = Cluster()
    cluster.create_error = api_error(403)

    with pytest.raises(ClusterError, match="refused to create Job shop/migrate-1"):
        run(cluster)


def test_a_failed_job_says_why_in_its_own_words() -> None:
    end, _ = run(Cluster("Failed", reason="BackoffLimitExceeded", exit_code=3))

    with pytest.raises(ClusterError, match="the schema was not migrated") as caught:
        end.require("the schema was not migrated", mend="read the log")

    assert str(caught.value.found).startswith("BackoffLimitExceeded, exit code 3\n")
    assert "INFO done" in str(caught.value.found)


def test_a_job_that_never_had_a_log_has_failed_all_the_same() -> None:
    cluster = Cluster("Failed", reason="DeadlineExceeded")
    cluster.log_error = api_error(400)

    end, lines = run(cluster)

    assert (end.succeeded, end.lines, lines) == (False, (), [])


def test_a_job_that_does_not_end_is_left_with_its_last_words() -> None:
    with pytest.raises(ClusterError, match="has not ended within 0 s") as caught:
        run(Cluster(None), within_s=0)

    assert "INFO running 0003" in str(caught.value.found)


def test_a_job_that_somebody_deleted_is_an_error_and_no_endless_wait() -> None:
    cluster = Cluster(None, there=True)
    answer = cluster.get
    looks = iter([True, True])

    def get(kind: object, name: str) -> Any:
        cluster.there = next(looks, False)
        return answer(kind, name)

    cluster.get = get  # type: ignore[method-assign]

    with pytest.raises(ClusterError, match="is gone"):
        run(cluster)
