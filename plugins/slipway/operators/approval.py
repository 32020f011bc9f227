"""Asks a person before a release, where the environment wants that."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator

from slipway.operators.ending import told

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReleaseApproval(ApprovalOperator):
    """An approval that is asked for only where the environment requires it, and that nobody gives to himself.

    :param environment: name of the environment (templated).
    :param release_id: of the release, for the message to the approvers (templated).
    """

    template_fields = (*ApprovalOperator.template_fields, "environment", "release_id")

    def __init__(self, *, environment: str, release_id: str, **kwargs: Any) -> None:
        super().__init__(fail_on_reject=True, **kwargs)
        self.environment = environment
        self.release_id = release_id

    @told()
    def execute(self, context: Context) -> Any:
        """Ask, or go on where nobody has to be asked."""
        approval = self._approval()
        if not approval.required:
            self.log.info("environment %s asks for no approval", self.environment)
            return None
        self.log.info("waiting for one of %s, for %g s at most", ", ".join(approval.approvers), approval.timeout_s)
        self.response_timeout = timedelta(seconds=approval.timeout_s)
        self._tell(approval, str(context["dag_run"].triggering_user_name or ""))
        return super().execute(context)

    @told()
    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Read the answer. Without a yes the release is cancelled here: settle only runs once the lock was taken.

        :raises RefusedError: it is a no, there was none in time, or it is from somebody who may not give it.
        """
        from slipway.errors import RefusedError
        from slipway.flow import configure
        from slipway.flow.site import ledger

        who = str((event.get("responded_by_user") or {}).get("name") or "")
        try:
            answer = self._answer(context, event, who)
        except RefusedError as error:
            reason = error.what if error.found is None else f"{error.what}: {error.found}"
            configure.give_up(ledger(), self.release_id, who or "slipway", reason)
            raise
        self.log.info("approved by %s", who)
        return answer

    def _answer(self, context: Context, event: dict[str, Any], who: str) -> Any:
        from slipway.errors import RefusedError

        asker = str(context["dag_run"].triggering_user_name or "")
        approval = self._approval()
        try:
            answer = super().execute_complete(context, event)
        except HITLTimeoutError:
            raise RefusedError(
                f"nobody has approved it within {approval.timeout_s:g} s",
                mend=f"ask {', '.join(approval.approvers)}, and start a new run",
            ) from None
        except HITLRejectException:
            raise RefusedError(f"{who or 'somebody'} has rejected it", mend="ask why, and start a new run") from None
        if who not in approval.approvers:
            raise RefusedError(
                f"{who or 'nobody'} may not approve for {self.environment}",
                mend=f"ask {', '.join(approval.approvers)}, and start a new run",
            )
        if who == asker:
            raise RefusedError(
                f"{who} asked for this release and may not approve it, too", mend="ask somebody else, in a new run"
            )
        return answer

    def _tell(self, approval: Any, actor: str) -> None:
        from slipway.flow import notify
        from slipway.flow.site import Site, ledger

        store = ledger()
        release = store.release(self.release_id)
        site = Site.open(release.application, release.environment)
        notify.approval_wanted(site, store, release, actor=actor, approvers=approval.approvers)

    def _approval(self) -> Any:
        from slipway.spec.catalog import Catalog

        return Catalog().environment(self.environment).approval
