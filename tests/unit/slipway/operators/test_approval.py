"""Without a yes from somebody who may give it, a release is cancelled: settle only runs once the lock was taken."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from slipway.errors import RefusedError
from slipway.flow import configure, site
from slipway.operators.approval import ReleaseApproval
from slipway.operators.ending import Ended

CONTEXT: Any = {"dag_run": SimpleNamespace(triggering_user_name="ann")}


def answer(option: str, who: str) -> dict[str, Any]:
    user = {"id": who, "name": who}
    at = datetime.now(UTC)
    return {"chosen_options": [option], "params_input": {}, "responded_at": at, "responded_by_user": user}


TIMEOUT = {"error": "The response timeout has passed without a response.", "error_type": "timeout"}


@pytest.fixture
def given_up(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    monkeypatch.setattr(site, "ledger", lambda: "ledger")
    monkeypatch.setattr(configure, "give_up", lambda *what: found.append(what))
    return found


@pytest.fixture
def approval(monkeypatch: pytest.MonkeyPatch) -> ReleaseApproval:
    wanted = SimpleNamespace(required=True, approvers=("ann", "bob"), timeout_s=3600.0)
    monkeypatch.setattr(ReleaseApproval, "_approval", lambda _: wanted)
    return ReleaseApproval(task_id="approve", environment="production", release_id="r", subject="Release?")


def test_a_yes_of_an_approver_lets_it_go_on(approval: ReleaseApproval, given_up: list[tuple[object, ...]]) -> None:
    assert approval.execute_complete(CONTEXT, answer("Approve", "bob"))["chosen_options"] == ["Approve"]
    assert given_up == []


@pytest.mark.parametrize(
    ("event", "actor", "reason", "mend"),
    [
        (answer("Reject", "bob"), "bob", "bob has rejected it", "ask why, and start a new run"),
        (TIMEOUT, "slipway", "nobody has approved it within 3600 s", "ask ann, bob, and start a new run"),
        (answer("Approve", "eve"), "eve", "eve may not approve for production", "ask ann, bob, and start a new run"),
        (answer("Approve", "ann"), "ann", "ann asked for this release and may not approve it, too",
         "ask somebody else, in a new run"),
    ],
    ids=["rejected", "timed out", "not an approver", "the same person"],
)  # fmt: skip
def test_anything_else_cancels_it_with_the_reason(
    approval: ReleaseApproval, given_up: list[tuple[object, ...]], event: dict[str, Any], actor: str, reason: str,
    mend: str,
) -> None:  # fmt: skip
    with pytest.raises(Ended) as ended:
        approval.execute_complete(CONTEXT, event)

    assert isinstance(ended.value.error, RefusedError)
    assert str(ended.value.error) == f"{reason}\n  do     {mend}"
    assert given_up == [("ledger", "r", actor, reason)]
