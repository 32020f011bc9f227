"""One process of the testbed, from waiting through ready to the next start, as long as the testbed lives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

from testbed import pki
from testbed.member import Member, trouble_of
from testbed.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.health import Doctor
    from testbed.place import Place

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
CALM_S = 30.0
"""After so long a life a process that ends is started again at once, as after its first start."""
STARTING_PROBE_S = 0.15
READY_PROBE_S = 3.0
STOP_GRACE_S = 10.0
LOG_LIMIT_BYTES = 20_000_000


class Process(Member):
    """Keeps one component running: see :class:`~testbed.member.Member` for its arguments."""

    def __init__(self, place: Place, waits_for: Mapping[str, asyncio.Event], doctor: Doctor) -> None:
        super().__init__(place, waits_for, doctor)
        self.wanted = asyncio.Event()
        self.wanted.set()
        self._child: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Start the process, watch it, and start it again when it ends; until cancelled."""
        pause_s = FIRST_PAUSE_S
        await self._wait_for_others()
        self._write_files()
        await self._prepare()
        while True:
            if not self.wanted.is_set():
                self._become(State.STOPPED, "stopped on request")
                await self.wanted.wait()
            began = time.monotonic()
            ending = await self._live()
            if not self.wanted.is_set():
                continue
            if time.monotonic() - began > CALM_S:
                pause_s = FIRST_PAUSE_S
            self.status.restarts += 1
            self._become(State.RESTARTING, f"{ending}, starts again in {pause_s:.1f} s")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def stop(self) -> None:
        """End the process and keep it ended until :meth:`start`."""
        self.wanted.clear()
        child = self._child
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOP_GRACE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()

    def start(self) -> None:
        """Let the process run again."""
        self.wanted.set()

    def _write_files(self) -> None:
        place, component = self.place, self.place.component
        place.dir.mkdir(parents=True, exist_ok=True)
        if component.user != "root":
            shutil.chown(place.dir, component.user, component.user)
        self._issue_certificate()
        if component.kubeconfig:
            authority = pki.Authority(place.home.pki)
            certificate, key = authority.issue(
                place.dir / "client",
                place.render(component.kubeconfig.user),
                groups=place.render_all(component.kubeconfig.groups),
            )
            pki.write_kubeconfig(
                place.dir / "kubeconfig",
                server=place.network.api_server,
                ca=authority.certificate,
                certificate=certificate,
                key=key,
            )
        self._write_templates(only_outside_prepared=True)

    def _write_templates(self, *, only_outside_prepared: bool = False) -> None:
        """Write the configuration files; those inside a folder that a `prepare` command makes come after it."""
        place = self.place
        for target, template in place.component.files.items():
            path = place.dir / target
            made_later = place.component.prepare and "/" in target and not path.parent.exists()
            if only_outside_prepared and made_later:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(place.render_file(template), encoding="utf-8")

    async def _prepare(self) -> None:
        place = self.place
        for step in place.component.prepare:
            if os.path.exists(place.render(step.unless)):  # noqa: PTH110 - a stat of a local file
                continue
            self._become(State.STARTING, f"prepares with {step.run[0]}")
            child = await self._spawn(place.render_all(step.run))
            if code := await child.wait():
                self._become(State.STARTING, f"{step.run[0]} ended with {code}: see {place.log}")
        self._write_templates()

    async def _live(self) -> str:
        """Start the process, watch it to its end, and say how it ended."""
        self._become(State.STARTING, "")
        try:
            self._child = await self._spawn(self.place.render_all(self.place.component.run))
        except OSError as error:
            # Whoever deletes the cache deletes the programs: that must not end everything else.
            return f"cannot be started: {error.strerror}"
        self.status.pid = self._child.pid
        watch = asyncio.create_task(self._watch())
        try:
            return f"ended with {_ending(await self._child.wait())}"
        finally:
            watch.cancel()
            self.ready.clear()
            self.status.pid = None

    async def _watch(self) -> None:
        while True:
            trouble = await trouble_of(self._doctor.examine(self.place))
            if not trouble:
                self._become(State.READY, "")
                self.ready.set()
            elif self.ready.is_set() or self.status.state is State.UNHEALTHY:
                self._become(State.UNHEALTHY, trouble)
            else:
                self.status.detail = trouble
            await asyncio.sleep(READY_PROBE_S if self.ready.is_set() else STARTING_PROBE_S)

    async def _spawn(self, command: list[str]) -> asyncio.subprocess.Process:
        place, component = self.place, self.place.component
        place.log.parent.mkdir(parents=True, exist_ok=True)
        if place.log.exists() and place.log.stat().st_size > LOG_LIMIT_BYTES:
            place.log.replace(place.log.with_suffix(".log.1"))
        if place.node:
            # Not `ip netns exec`: it mounts /sys anew and hides the cgroups.
            command = ["nsenter", f"--net=/run/netns/{place.node.name}", "--", *command]
        user = pwd.getpwnam(component.user)
        environment = {
            "PATH": place.home.path(),
            "HOME": user.pw_dir,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "LC_ALL": "C.UTF-8",
            **component.environment,
        }
        with place.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=place.dir,
                env=environment,
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
                start_new_session=True,
            )


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
