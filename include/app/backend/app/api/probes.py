"""/health, /ready and /metrics: what Kubernetes and Prometheus ask."""

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.api.context import Ctx
from app.api.schemas import VersionOut
from app.names import API_PREFIX

router = APIRouter()
PROBE_PATHS = frozenset({"/health", "/ready", "/metrics"})


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the process lives. Looks at nothing else: a restart does not mend a database."""
    return {"status": "alive"}


@router.get("/ready")
async def ready(context: Ctx, response: Response) -> dict[str, object]:
    """Say whether requests may come: PostgreSQL, Redis, and a schema at least as new as this version's."""
    # Not on the threads of the requests: a pod with much to do would stop being Ready, and the others had more to do.
    problems = await asyncio.to_thread(context.readiness.problems)
    if problems:
        response.status_code = 503
    return {"status": "not ready" if problems else "ready", "problems": problems}


@router.get("/metrics")
async def metrics() -> Response:
    """Give the series to Prometheus, without asking anybody."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


version_router = APIRouter(prefix=API_PREFIX, tags=["version"])


@version_router.get("/version")
async def version(context: Ctx) -> VersionOut:
    """Say which version answers, and what it can do."""
    release = context.release
    return VersionOut(version=release.version, features=sorted(release.features), schema_head=release.schema_head)
