"""One POST whose address is a secret: it shows in no log and in no exception."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slipway.errors import NotificationError
from slipway.notifications.failures import TemporaryError
from slipway.notifications.text import line

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT_S = 3.0
"""A server that does not even accept is tried again within the bound of the message."""
LONGEST_RETRY_AFTER_S = 3_600.0

_secret_address: ContextVar[bool] = ContextVar("secret_address", default=False)


class _WithoutAddress(logging.Filter):
    """Drops httpx's line "HTTP Request: POST https://...?access_token=...", which it logs at INFO, for our requests.

    Raising the level of the logger would silence everybody else's requests in this process too.
    """

    def filter(self, _record: logging.LogRecord) -> bool:
        """Say whether a line may be written."""
        return not _secret_address.get()


@contextmanager
def _without_address_in_logs() -> Iterator[None]:
    logger = logging.getLogger("httpx")
    if not any(isinstance(known, _WithoutAddress) for known in logger.filters):
        logger.addFilter(_WithoutAddress())
    token = _secret_address.set(True)
    try:
        yield
    finally:
        _secret_address.reset(token)


@dataclass(frozen=True)
class Answer:
    """A response.

    :param retry_after_s: what the server asks to wait; 0 without such a header.
    """

    status: int
    text: str
    retry_after_s: float


def post(url: str, body: bytes, *, service: str, timeout_s: float) -> Answer:
    """Send JSON to an address that holds a secret.

    :param service: the name of the channel for errors.
    :param timeout_s: for each of writing and reading; the caller bounds the whole.
    :raises TemporaryError: no answer came.
    :raises NotificationError: the address cannot be used.
    """
    import httpx  # costs a DAG file 0.1 s at every parse when it stands at the top

    host = _host(url, service)
    timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s))
    failure: str | None
    try:
        # Redirects are not followed: they would carry the secret to another server.
        with _without_address_in_logs(), httpx.Client(timeout=timeout, follow_redirects=False) as client:
            response = client.post(url, content=body, headers={"Content-Type": "application/json; charset=utf-8"})
        return Answer(response.status_code, response.text[:500], _retry_after(response.headers.get("Retry-After")))
    except httpx.TransportError as error:
        # Its words only: the request inside holds the address, and a chained exception would carry it along.
        failure = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    except (httpx.InvalidURL, ValueError):
        failure = None
    if failure is None:
        raise _unusable(service)
    raise TemporaryError(
        f"{service} at {host} did not answer.",
        found=line(failure.replace(url, host), 200),
        mend=f"check that this machine reaches {host}; a proxy goes into HTTPS_PROXY",
    )


def _host(url: str, service: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or urlsplit(url).scheme not in ("http", "https"):
        raise _unusable(service)
    return host if port is None else f"{host}:{port}"


def _unusable(service: str) -> NotificationError:
    return NotificationError(
        f"The address of {service} cannot be used.",
        found="not shown, it holds a secret",
        mend="write it as https://HOST/... in the connection",
    )


def _retry_after(header: str | None) -> float:
    # Slack sends whole seconds; a date, which HTTP allows too, only means the usual back-off here.
    return min(float(header), LONGEST_RETRY_AFTER_S) if header and header.isascii() and header.isdigit() else 0.0
