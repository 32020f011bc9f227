"""What a process and an add-on have in common: a place, a status, and others that must be ready before."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx

from testbed import pki
from testbed.state import State, Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from pathlib import Path

    from testbed.health import Doctor
    from testbed.place import Place


class Member:
    """One component that the supervisor keeps.

    :param place: the component, and where it is.
    :param waits_for: the ready events of those that it comes after, by name.
    :param doctor: who is asked about the cluster and about health.
    """

    def __init__(self, place: Place, waits_for: Mapping[str, asyncio.Event], doctor: Doctor) -> None:
        self.place = place
        self.ready = asyncio.Event()
        component = place.component
        self.status = Status(place.name, component.about, component.version or "", State.WAITING, time.time())
        self._waits_for = waits_for
        self._doctor = doctor

    async def _wait_for_others(self) -> None:
        for name, event in self._waits_for.items():
            self.status.detail = f"waits for {name}"
            await event.wait()
        self.status.detail = ""

    def _become(self, state: State, detail: str) -> None:
        if state is not self.status.state:
            self.status.state, self.status.since = state, time.time()
        self.status.detail = detail

    def _issue_certificate(self) -> tuple[Path, Path] | None:
        """Sign the certificate that the table gives the component.

        :return: the paths of certificate and key, None when it has none.
        """
        place, certificate = self.place, self.place.component.certificate
        if certificate is None:
            return None
        return pki.Authority(place.home.pki).issue(
            place.dir / "tls", place.render(certificate.common_name), names=place.render_all(certificate.names)
        )


async def trouble_of(look: Awaitable[str]) -> str:
    """Ask, and take an API server that does not answer for trouble, too.

    :param look: answers "" when all is well.
    """
    try:
        return await look
    except httpx.HTTPError as error:
        return f"the API server: {type(error).__name__}"
