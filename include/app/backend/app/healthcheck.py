"""Ask the process in this container whether it lives: python -m app.healthcheck (the image has no curl).

One image runs the API, the worker and beat; whichever of their two ports answers decides.
"""

from __future__ import annotations

import http.client
import os
import sys

TIMEOUT_S = 3
HTTP_OK = 200
PORTS = (("APP_PORT", 8000), ("APP_METRICS_PORT", 9101))


def is_alive(port: int) -> bool:
    """Say whether /health answers 200 on this port of the container."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTP_OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    ports = [int(os.environ.get(name) or default) for name, default in PORTS]
    sys.exit(0 if any(is_alive(port) for port in ports) else 1)
