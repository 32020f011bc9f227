"""Serve the API: python -m app.api. On SIGTERM it drains, then ends what is under way, then leaves."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import uvicorn

from app.api.application import create_app
from app.startup import start_process

if TYPE_CHECKING:
    from types import FrameType

    from app.readiness import Readiness

logger = logging.getLogger("app.api")


class DrainingServer(uvicorn.Server):
    """Serves on for a while after SIGTERM: not Ready, but open, until every router has heard."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness, drain_s: float) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._drain_s = drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal, stop at once at the second."""
        if self._readiness.is_draining:
            super().handle_exit(sig, frame)
            return
        self._readiness.is_draining = True
        timer = threading.Timer(self._drain_s, super().handle_exit, (sig, frame))
        timer.daemon = True
        timer.start()


def main() -> None:
    """Serve until SIGTERM."""
    settings = start_process("api")
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # counted by route in /metrics; a line a request would double the work
        server_header=False,
        timeout_keep_alive=75,  # longer than a router's own, so that the router closes idle connections first
        timeout_graceful_shutdown=settings.shutdown_grace_s,
    )
    DrainingServer(config, app.state.context.readiness, settings.drain_s).run()


if __name__ == "__main__":
    main()
