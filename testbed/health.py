"""Questions to components: an HTTP endpoint, a command, an object of the cluster. Each answers "" when all is well."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import httpx

from testbed.catalog import CommandHealth, HttpHealth, ObjectHealth
from testbed.command import ask

if TYPE_CHECKING:
    from testbed.home import Home
    from testbed.network import Network
    from testbed.place import Place

PROBE_TIMEOUT_S = 3.0


class Doctor:
    """Asks components how they are, as the administrator of the cluster.

    :param home: where the authority and the administrator's certificate are.
    """

    def __init__(self, home: Home, network: Network) -> None:
        trusted = ssl.create_default_context(cafile=str(home.ca))
        trusted.load_cert_chain(home.pki / "admin.crt", home.pki / "admin.key")
        unverified = ssl.create_default_context()
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        self._clients = {
            verify: httpx.AsyncClient(verify=context, timeout=PROBE_TIMEOUT_S, trust_env=False)
            for verify, context in ((True, trusted), (False, unverified))
        }
        self._api = network.api_server

    async def examine(self, place: Place) -> str:
        """Ask the health question of a component.

        :return: "" when it is healthy, else what was seen, in a few words.
        """
        health = place.component.health
        if isinstance(health, HttpHealth):
            return await self._http(place.render(health.http), verify=health.verify)
        if isinstance(health, CommandHealth):
            return await self._command(place.render_all(health.run), place.home.path())
        if isinstance(health, ObjectHealth):
            found = await self.get(place.render(health.object))
            return "not in the cluster yet" if found is None else _not_ready(found)
        return "no health question in the table"

    async def get(self, path: str) -> dict[str, Any] | None:
        """Read an object of the cluster.

        :param path: below the API server, like ``/api/v1/nodes/node-1``.
        :return: None when it does not exist.
        :raises httpx.HTTPError: the API server does not answer, or refuses.
        """
        answer = await self._clients[True].get(self._api + path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document

    async def _http(self, url: str, *, verify: bool) -> str:
        try:
            answer = await self._clients[verify].get(url)
        except httpx.HTTPError as error:
            return f"{url}: {type(error).__name__}"
        return "" if answer.status_code == httpx.codes.OK else f"{url}: HTTP {answer.status_code}"

    async def _command(self, command: list[str], path: str) -> str:
        try:
            answer = await ask(command, timeout_s=PROBE_TIMEOUT_S, environment={"PATH": path, "HOME": "/root"})
        except TimeoutError:
            return f"{command[0]}: no answer within {PROBE_TIMEOUT_S:g} s"
        except OSError as error:
            return f"{command[0]}: {error.strerror}"
        return "" if answer.code == 0 else f"{command[0]}: {answer.last_line or answer.code}"


def _not_ready(found: dict[str, Any]) -> str:
    conditions = {item["type"]: item for item in found.get("status", {}).get("conditions", [])}
    ready = conditions.get("Ready")
    if ready and ready["status"] == "True":
        return ""
    return ready.get("message") or f"Ready is {ready['status']}" if ready else "no Ready condition yet"
