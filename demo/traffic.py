"""Constant https traffic, as users make it, and what became of each request; a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

CONNECTIONS = 16
TIMEOUT_S = 5.0
PATHS = ("/api/v1/version", "/api/v1/clusters", "/api/v1/tables")


@dataclass(frozen=True)
class Target:
    """Where the traffic goes.

    :param address: IP address of the ingress; certificate and Host are those of the URL's host.
    """

    url: str
    address: str
    ca: str

    @property
    def host(self) -> str:
        """Host of the URL."""
        return httpx.URL(self.url).host


async def run(target: Target, rate: float, record: Path) -> None:
    """Send requests at a constant rate until SIGTERM, whether answers come or not, and append what became of each.

    :param rate: requests a second.
    :param record: file that is given a JSON list a line: moment, status (0: no answer), version, seconds.
    """
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    verify = ssl.create_default_context(cafile=target.ca)
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=CONNECTIONS)
    base = httpx.URL(target.url).copy_with(host=target.address)
    async with httpx.AsyncClient(
        base_url=base, verify=verify, limits=limits, timeout=TIMEOUT_S, headers={"Host": target.host}, trust_env=False
    ) as client:
        with record.open("a", buffering=1, encoding="utf-8") as file:
            tasks: set[asyncio.Task[None]] = set()
            started, number = time.monotonic(), 0
            while not stop.is_set():
                task = asyncio.create_task(_one(client, target.host, PATHS[number % len(PATHS)], file))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
                await asyncio.sleep(max(started + number / rate - time.monotonic(), 0))
            await asyncio.gather(*tasks, return_exceptions=True)


async def _one(client: httpx.AsyncClient, host: str, path: str, file: object) -> None:
    at, started = time.time(), time.monotonic()
    try:
        answer = await client.get(path, extensions={"sni_hostname": host})
        status, version = answer.status_code, answer.headers.get("X-App-Version", "")
    except httpx.HTTPError:
        status, version = 0, ""
    line = json.dumps([round(at, 3), status, version, round(time.monotonic() - started, 4)])
    file.write(line + "\n")  # type: ignore[attr-defined]


if __name__ == "__main__":
    url, address, ca, rate, record = sys.argv[1:]
    asyncio.run(run(Target(url, address, ca), float(rate), Path(record)))
