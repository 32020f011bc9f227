"""Around every request: count and time it, make the faults that were ordered, set headers."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse

from app.api.probes import PROBE_PATHS
from app.monitoring import prometheus_metrics as metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.readiness import Readiness
    from app.settings import Settings

UNMATCHED = "(unmatched)"
"""Route of a request that no route took: a scanner's thousand paths must not make a thousand series."""


def is_probe(scope: Scope) -> bool:
    """Say whether a scope is no request of a user."""
    return scope["type"] != "http" or scope["path"] in PROBE_PATHS


class Measured:
    """Counts and times API requests by version, route and status."""

    def __init__(self, app: ASGIApp, version: str) -> None:
        self._app = app
        self._version = version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - see the class
        if is_probe(scope):
            await self._app(scope, receive, send)
            return
        status = 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = time.perf_counter()
        metrics.REQUESTS_IN_PROGRESS.inc()
        try:
            await self._app(scope, receive, note_status)
        finally:
            metrics.REQUESTS_IN_PROGRESS.dec()
            route = getattr(scope.get("route"), "path", UNMATCHED)
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            metrics.REQUESTS.labels(self._version, method, route, str(status)).inc()
            metrics.REQUEST_SECONDS.labels(self._version, route).observe(time.perf_counter() - begun)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


SPARED = 10
"""API requests of a process that no fault meets."""


class Faulty:
    """Fails and delays API requests on purpose. Probes stay well, as with a real bug.

    The first requests of a process are spared: a bug that a smoke test sees needs no canary, and a drill is for the
    other ones.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._error_rate = settings.fault_error_rate
        self._latency_factor = settings.fault_latency_factor
        self._spared = SPARED

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - see the class
        if is_probe(scope):
            await self._app(scope, receive, send)
            return
        if self._spared:
            self._spared -= 1
            await self._app(scope, receive, send)
            return
        if random.random() < self._error_rate:  # noqa: S311 - no secret hangs on it
            # After the work and not instead of it: a real bug has its route in the series, and its duration.
            await self._app(scope, receive, _swallow)
            await JSONResponse({"detail": "APP_FAULT_ERROR_RATE"}, status_code=500)(scope, receive, send)
            return
        begun = time.perf_counter()

        async def delayed(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep((time.perf_counter() - begun) * (self._latency_factor - 1))
            await send(message)

        await self._app(scope, receive, delayed)


async def _swallow(message: Message) -> None:
    """Take an answer that nobody is to see."""


class Headed:
    """Sets security headers and the version; while draining, asks clients for a new connection."""

    def __init__(self, app: ASGIApp, version: str, readiness: Readiness) -> None:
        self._app = app
        self._version = version
        self._readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - see the class
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-App-Version"] = self._version
                if self._readiness.is_draining:
                    headers["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, headed if scope["type"] == "http" else send)
