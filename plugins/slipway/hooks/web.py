"""HTTP clients with time limits, an authority of their own where it is named, and an address where DNS has none."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

ANSWER_S = 5.0
CONNECT_S = 2.0


def client(url: str, *, ca: str | None = None, address: str | None = None, answer_s: float = ANSWER_S) -> httpx.Client:
    """Return a client; close it.

    :param url: base address.
    :param ca: path of the certificate authority's file, the system's when None.
    :param address: IP address to connect to in place of the name's own; certificate and Host stay those of the name.
    :param answer_s: longest wait for an answer, in seconds.
    """
    import httpx

    trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else True
    transport: httpx.BaseTransport = httpx.HTTPTransport(verify=trust, trust_env=False, retries=1)
    if address:
        transport = _at(address, transport)
    return httpx.Client(
        base_url=url, transport=transport, timeout=httpx.Timeout(answer_s, connect=CONNECT_S), trust_env=False
    )


def many(
    url: str, *, ca: str | None = None, address: str | None = None, answer_s: float = ANSWER_S, most: int
) -> httpx.AsyncClient:
    """Return a client for many requests at once; close it. The first four arguments are those of `client`.

    It keeps no cookies: each request is somebody new to whatever shares requests out by them.

    :param most: connections, in use and kept.
    """
    import http.cookiejar

    import httpx

    trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else True
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
    transport: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport(verify=trust, trust_env=False, limits=limits)
    if address:
        transport = _many_at(address, transport)
    none_at_all = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=()))
    return httpx.AsyncClient(
        base_url=url, transport=transport, timeout=httpx.Timeout(answer_s, connect=CONNECT_S), trust_env=False,
        cookies=none_at_all,
    )  # fmt: skip


def _at(address: str, inner: httpx.BaseTransport) -> httpx.BaseTransport:
    import httpx

    class Elsewhere(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return inner.handle_request(_led(request, address))

        def close(self) -> None:
            inner.close()

    return Elsewhere()


def _many_at(address: str, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    import httpx

    class Elsewhere(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return await inner.handle_async_request(_led(request, address))

        async def aclose(self) -> None:
            await inner.aclose()

    return Elsewhere()


def _led(request: httpx.Request, address: str) -> httpx.Request:
    request.extensions["sni_hostname"] = request.url.host
    request.url = request.url.copy_with(host=address)  # the Host header was written before, from the name
    return request
