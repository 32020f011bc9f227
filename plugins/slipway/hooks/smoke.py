"""Asks one pod directly, through the API server, before any user meets it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import ClusterError, GateError
from slipway.hooks.cluster import worded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lightkube import Client

    from slipway.spec.release import SmokeCheck

SHOWN = 200


@dataclass(frozen=True)
class Answer:
    """What a pod answered.

    :param elapsed_ms: with the way through the API server.
    """

    status: int
    text: str
    elapsed_ms: float


def ask(client: Client, pod: str, port: int, path: str, *, timeout_s: float) -> Answer:
    """Send a GET to a pod by the API server's proxy, which needs no network to the pods.

    :raises ClusterError: no answer.
    """
    # lightkube has no verb for the proxy; its own HTTP client has the login to the API server, so it is used as it is.
    http: Any = client._client._client  # noqa: SLF001
    address = f"/api/v1/namespaces/{client.namespace}/pods/{pod}:{port}/proxy{path}"
    started = time.monotonic()
    with worded(f"ask pod {pod} for {path}"):
        found = http.get(address, timeout=timeout_s)
    return Answer(found.status_code, found.text, (time.monotonic() - started) * 1000)


def examine(
    client: Client, pod: str, port: int, checks: Sequence[SmokeCheck], version: str, log: Callable[[str], object]
) -> None:
    """Ask a pod everything that the release spec names.

    :raises GateError: with every answer that is not as expected.
    """
    wrong = []
    for check in checks:
        try:
            answer = ask(client, pod, port, check.path, timeout_s=check.timeout_s)
        except ClusterError as error:
            wrong.append(f"{check.path}: {error.what}: {error.found}")
            continue
        problem = _problem(check, answer, version)
        log(f"{pod} {check.path}: {answer.status} in {answer.elapsed_ms:.0f} ms{problem and f'; {problem}'}")
        if problem:
            wrong.append(f"{check.path}: {problem}")
    if wrong:
        raise GateError(
            f"the smoke test of pod {pod} failed before any user met it", found="; ".join(wrong),
            mend="read the pod's log; the release goes back by itself",
        )  # fmt: skip


def _problem(check: SmokeCheck, answer: Answer, version: str) -> str:
    if answer.status != check.status:
        return f"status {answer.status} in place of {check.status}: {answer.text[:SHOWN]!r}"
    expected = check.expected(version)
    if not expected:
        return ""
    try:
        body = json.loads(answer.text)
    except ValueError:
        return f"no JSON: {answer.text[:SHOWN]!r}"
    differing = [
        f"{path} is {_field(body, path)!r} and not {value!r}"
        for path, value in expected.items()
        if _field(body, path) != value
    ]
    return "; ".join(differing)


def _field(body: Any, path: str) -> Any:
    for key in path.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body
