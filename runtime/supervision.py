"""supervisord keeps the parts running; here is its configuration, and the way to talk to it."""

from __future__ import annotations

import http.client
import shlex
import sys
import xmlrpc.client
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import BaseModel, ConfigDict
from supervisor.xmlrpc import Faults, SupervisorTransport  # type: ignore[import-untyped]

from runtime.parts import PARTS
from testbed.errors import StartError

if TYPE_CHECKING:
    from runtime.home import Home

RUNNING = "RUNNING"
NAMESPACES = ("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave")
"""Each part is PID 1 of namespaces of its own, as it is in a container: when it dies, by whatever death, no child of
it lives on. A scheduler that was killed would otherwise leave the workers of its LocalExecutor behind, and they a task
that runs beside its own second try. `slave`: what the machine unmounts is not held here, and no mount gets out."""
GONE = (ConnectionError, FileNotFoundError, http.client.HTTPException, TimeoutError)
"""What a socket answers that nobody listens to any more, or not yet."""


class State(BaseModel):
    """How supervisord sees a part.

    :param name: the part.
    :param statename: RUNNING, STARTING, BACKOFF, STOPPED, ...
    :param pid: as seen from supervisord, 0 when it does not run.
    :param start: when it was started, seconds since the epoch.
    :param now: supervisord's clock.
    :param description: in words.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    statename: str
    pid: int
    start: int
    now: int
    description: str


class _Methods(Protocol):
    """The methods of supervisord that are used here."""

    def getAllProcessInfo(self) -> list[dict[str, Any]]: ...  # noqa: N802 - supervisord's own names
    def startProcess(self, name: str, wait: bool) -> bool: ...  # noqa: N802
    def stopProcess(self, name: str, wait: bool) -> bool: ...  # noqa: N802
    def signalProcess(self, name: str, signal: str) -> bool: ...  # noqa: N802


def configuration(home: Home) -> str:
    """Return supervisord's configuration. It holds no secret: the parts inherit the environment."""
    head = f"""\
[supervisord]
nodaemon=true
silent=true
user=root
umask=022
directory={home.folder}
logfile={home.logs}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={home.folder}/supervisord.pid
childlogdir={home.logs}

[unix_http_server]
file={home.socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    return head + "".join(
        f"""
[program:{part.name}]
command={_escape(shlex.join((*NAMESPACES, "--", sys.executable, "-m", "airflow", *part.arguments)))}
autostart=true
autorestart=true
startsecs=1
startretries=1000
stopsignal=TERM
stopwaitsecs=10
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={home.logs}/{part.name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=1
"""
        for part in PARTS
    )


class Supervisor:
    """The running supervisord, through its socket.

    :param home: whose.
    """

    def __init__(self, home: Home) -> None:
        transport = SupervisorTransport(None, None, f"unix://{home.socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        self._methods = cast("_Methods", proxy.supervisor)

    def states(self) -> dict[str, State]:
        """Return each part's state by its name.

        :raises OSError: supervisord does not answer.
        """
        rows = [State.model_validate(row) for row in self._methods.getAllProcessInfo()]
        return {row.name: row for row in rows}

    def kill(self, name: str) -> None:
        """Send SIGKILL to a part. Its children die with it, and supervisord starts it again.

        :raises StartError: it does not run.
        """
        try:
            self._methods.signalProcess(name, "KILL")
        except xmlrpc.client.Fault as fault:
            raise _not_done("killed", name, fault) from fault

    def restart(self, name: str) -> None:
        """Ask a part to end as it would at a shutdown, and start it again.

        :raises StartError: it does not start.
        """
        try:
            self._methods.stopProcess(name, True)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise _not_done("stopped", name, fault) from fault
        try:
            self._methods.startProcess(name, True)
        except xmlrpc.client.Fault as fault:
            raise _not_done("started", name, fault) from fault


def _not_done(verb: str, name: str, fault: xmlrpc.client.Fault) -> StartError:
    return StartError(f"the {name} was not {verb}", found=fault.faultString, do=f"python -m runtime logs {name}")


def _escape(text: str) -> str:
    return text.replace("%", "%%")
