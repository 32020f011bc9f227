"""Asks a person before a release, where the environment wants that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReleaseApproval(ApprovalOperator):
    """An approval that is asked for only where the environment requires it, and that nobody gives to himself.

    :param environment: name of the environment (templated).
    """

    template_fields = (*ApprovalOperator.template_fields, "environment")

    def __init__(self, *, environment: str, **kwargs: Any) -> None:
        super().__init__(fail_on_reject=True, **kwargs)
        self.environment = environment

    def execute(self, context: Context) -> Any:
        """Ask, or go on where nobody has to be asked."""
        approval = self._approval()
        if not approval.required:
            self.log.info("environment %s asks for no approval", self.environment)
            return None
        self.log.info("waiting for one of %s, for %g s at most", ", ".join(approval.approvers), approval.timeout_s)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Read the answer.

        :raises RefusedError: it is from somebody who may not give it.
        """
        from slipway.errors import RefusedError

        answer = super().execute_complete(context, event)
        who = str((event.get("responded_by_user") or {}).get("name") or "")
        asker = str(context["dag_run"].triggering_user_name or "")
        approvers = self._approval().approvers
        if who not in approvers:
            raise RefusedError(
                f"{who or 'nobody'} may not approve for {self.environment}", mend=f"ask {', '.join(approvers)}"
            )
        if who == asker:
            raise RefusedError(f"{who} asked for this release and may not approve it, too", mend="ask somebody else")
        self.log.info("approved by %s", who)
        return answer

    def _approval(self) -> Any:
        from slipway.spec.catalog import Catalog

        return Catalog().environment(self.environment).approval
