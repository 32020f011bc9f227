"""Put the HTTP interface together."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio.to_thread
from celery import Celery
from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import REGISTRY
from redis import Redis, RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from app.api import clusters, probes, tables, tasks
from app.api.context import Context
from app.api.middleware import Faulty, Headed, Measured
from app.db.engine import make_engine
from app.monitoring import prometheus_metrics as metrics
from app.monitoring.business import BusinessCollector, read_figures
from app.names import API_PREFIX, Queue
from app.readiness import Readiness, make_redis, reason_of
from app.release import current_release
from app.settings import Settings
from app.worker.celery_app import make_celery

logger = logging.getLogger(__name__)


def create_app(settings: Settings, engine: Engine | None = None, celery: Celery | None = None) -> FastAPI:
    """Make the API of a process; nothing is connected before the first request.

    :param engine: instead of one made from the settings.
    :param celery: instead of one made from the settings.
    """
    release = current_release()
    # Probes and figures have connections of their own, for the same reason as threads: see /ready.
    watching = engine or make_engine(settings, "api-watch")
    engine = engine or make_engine(settings, "api")
    broker = make_redis(settings)
    readiness = Readiness(watching, broker, settings.environment)
    app = FastAPI(
        title="Hive small-file platform",
        version=release.version,
        # The interactive pages load scripts from the internet, and tell strangers what there is.
        docs_url=f"{API_PREFIX}/docs" if settings.debug else None,
        redoc_url=None,
        openapi_url=f"{API_PREFIX}/openapi.json",
        lifespan=_lifespan(settings, (engine, watching), broker),
    )
    app.state.context = Context(settings, release, engine, celery or make_celery(settings), readiness)
    # Each router names its whole prefix: the series are labelled with the route as the router knows it.
    for router in (probes.router, probes.version_router, clusters.router, tables.router, *tasks.routers):
        app.include_router(router)
    app.add_exception_handler(OperationalError, _database_down)
    app.add_exception_handler(PoolTimeoutError, _database_down)
    _add_middleware(app, settings, readiness)
    return app


def _add_middleware(app: FastAPI, settings: Settings, readiness: Readiness) -> None:
    """Add from the inside out: faults are measured like real ones."""
    release = current_release()
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET", "POST"],
            allow_headers=["Content-Type"],
        )  # fmt: skip
    if settings.has_faults:
        logger.warning("faults are switched on", extra={"error_rate": settings.fault_error_rate})
        app.add_middleware(Faulty, settings=settings)
    app.add_middleware(Measured, version=release.version)
    app.add_middleware(Headed, version=release.version, readiness=readiness)


async def _database_down(_request: Request, error: Exception) -> JSONResponse:
    reason = reason_of(error) if isinstance(error, SQLAlchemyError) else type(error).__name__
    logger.error("database: %s", reason)
    return JSONResponse({"detail": "the database does not answer, try again"}, 503, {"Retry-After": "2"})


def _lifespan(settings: Settings, engines: tuple[Engine, Engine], broker: Redis):  # type: ignore[no-untyped-def]
    _, watching = engines

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.request_threads
        metrics.BUILD_INFO.labels(current_release().version, "api").set(1)
        collector = BusinessCollector()
        REGISTRY.register(collector)
        refreshing = asyncio.create_task(_refresh(collector, watching, broker, settings.metrics_refresh_s))
        try:
            yield
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing
            REGISTRY.unregister(collector)
            for engine in engines:
                engine.dispose()

    return lifespan


async def _refresh(collector: BusinessCollector, engine: Engine, broker: Redis, every_s: float) -> None:
    while True:
        try:
            await asyncio.to_thread(_read, collector, engine, broker)
        except SQLAlchemyError as error:
            logger.warning("business figures not read: %s", reason_of(error))
        await asyncio.sleep(every_s)


def _read(collector: BusinessCollector, engine: Engine, broker: Redis) -> None:
    try:
        queues = {queue: int(broker.llen(queue)) for queue in Queue}
    except RedisError:
        queues = {}
    with Session(engine) as session:
        collector.figures = read_figures(session, queues)
