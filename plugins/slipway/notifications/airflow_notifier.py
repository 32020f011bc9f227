"""The failure callback of DAGs and tasks: it tells the channels, within ten seconds, and never raises."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Context

from slipway.names import AbortedBy
from slipway.notifications.message import ReleaseRef, aborted
from slipway.notifications.text import duration, paragraph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from slipway.notifications.message import Message
    from slipway.notifications.sending import Notifier

BOUND_S = 10.0
"""Task callbacks die after 20 s, DAG callbacks of one file share 50 s: both must leave room for others."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Failure:
    """What a callback of Airflow knows of a failure.

    :param where: the DAG, the run and, for a task's callback, the task.
    :param why: the exception, or Airflow's reason; cleaned, one to a few lines.
    :param log_url: the log of the task; empty where Airflow does not know it.
    """

    where: str
    why: str
    log_url: str


def stopped(release: ReleaseRef, failure: Failure, at: datetime) -> Message:
    """Say that a run failed, as the abort that follows from it.

    When the canary's trigger has sent the abort with its numbers before, the claim makes this one silent.
    """
    return aborted(
        release,
        at=at,
        reason=f"{failure.why}\n{failure.where}",
        aborted_by=AbortedBy.SLIPWAY,
        links={"Log": failure.log_url} if failure.log_url else None,
    )


class ReleaseNotifier(BaseNotifier):
    """Tells every channel that a release failed. For ``on_failure_callback`` of a DAG or a task.

    One instance serves all runs of a parsed DAG, and Airflow's own way renders a notifier's fields in place: the
    second run would send the words of the first. Here a call renders into locals and leaves instance and context alone.

    :param notifier: makes the notifier when something failed, so that parsing a DAG opens no connection.
    :param message: makes the message; None when there is nothing to say.
    :param release_id: the key of the claims (templated), as are the next three.
    :param bound_s: seconds after which the callback returns, whatever happens.
    """

    template_fields: Sequence[str] = ("release_id", "application", "version", "environment")

    def __init__(
        self,
        *,
        notifier: Callable[[], Notifier],
        message: Callable[[ReleaseRef, Failure, datetime], Message | None] = stopped,
        release_id: str = "{{ run_id }}",
        application: str = "{{ params.application }}",
        version: str = "{{ params.version }}",
        environment: str = "{{ params.environment }}",
        bound_s: float = BOUND_S,
    ) -> None:
        super().__init__()
        self.notifier = notifier
        self.message = message
        self.release_id = release_id
        self.application = application
        self.version = version
        self.environment = environment
        self.bound_s = bound_s

    def __call__(self, *args: Any) -> None:
        """Send; whatever goes wrong is logged.

        :param args: the context of the callback.
        """
        call = threading.Thread(target=self._safely, args=args, name="slipway-callback", daemon=True)
        call.start()
        call.join(self.bound_s)
        if call.is_alive():
            self.log.error("Left after %s: %s", duration(self.bound_s), "the watchdog sends what has no receipt")

    def _safely(self, *args: Any) -> None:
        try:
            self.notify(copy.copy(args[0]) if args else Context())
        except Exception as error:  # noqa: BLE001 - a callback that raises helps nobody, and hides the failure before it
            # Without the traceback: what a foreign exception says may hold an address with a token.
            self.log.error(  # noqa: TRY400
                "No channel was told: %s. The rollback does not depend on it.", type(error).__name__
            )

    def notify(self, context: Context) -> None:
        """Make the message and send it.

        :raises Exception: whatever the factories raise; calling the instance logs it instead.
        """
        at = datetime.now(UTC)
        fields = {name: self._rendered(name, context) for name in self.template_fields}
        release_id = fields["release_id"] or _run_id(context) or f"unknown at {at:%Y-%m-%dT%H:%M:%SZ}"
        release = ReleaseRef(
            id=release_id,
            application=fields["application"] or UNKNOWN,
            version=fields["version"] or UNKNOWN,
            environment=fields["environment"] or UNKNOWN,
        )
        message = self.message(release, failure(context), at)
        if message is not None:
            self.notifier().send(message)

    def _rendered(self, name: str, context: Context) -> str:
        """Render one field; empty when the context lacks what it names, as after a trigger's TaskFailedEvent."""
        try:
            env = self.get_template_env(dag=context.get("dag"))
            return str(self.render_template(getattr(self, name), context, env) or "")
        except Exception as error:  # noqa: BLE001 - an alert without a version is better than no alert
            self.log.warning("%s is not known here: %s", name, type(error).__name__)
            return ""


def failure(context: Context) -> Failure:
    """Read what a callback's context says, whichever of Airflow's processes filled it."""
    parts: Mapping[str, Any] = dict(context)
    task = parts.get("ti") or parts.get("task_instance")
    places = (
        ("DAG", getattr(parts.get("dag"), "dag_id", None) or getattr(task, "dag_id", None)),
        ("run", _run_id(context)),
        ("task", getattr(task, "task_id", None)),
    )
    # A task's callback has the exception; a DAG's has Airflow's reason instead.
    why = parts.get("exception") or parts.get("reason") or "the run failed, and Airflow does not say why"
    return Failure(
        where=", ".join(f"{name} {value}" for name, value in places if value),
        why=paragraph(why, 1_000),
        log_url=str(getattr(task, "log_url", None) or ""),
    )


def _run_id(context: Context) -> str:
    parts: Mapping[str, Any] = dict(context)
    return str(parts.get("run_id") or getattr(parts.get("dag_run"), "run_id", None) or "")
