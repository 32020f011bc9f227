"""What leaves a task: the sentence of an error of ours, once; everything else as it is."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from airflow.sdk import RetryAction
from slipway.errors import ClusterError, VerdictError
from slipway.operators.ending import LOGGER, Ended, UntilSettled, step, told
from slipway.sensors.canary import CanarySensor

WORSE = VerdictError("the canary failed at weight-10 (ERROR_RATE)", found="20 % errors", mend="nothing tonight")


def test_an_error_of_ours_is_its_sentence_and_ends_the_task_without_itself() -> None:
    with structlog.testing.capture_logs() as lines, pytest.raises(Ended) as ended, told():
        raise WORSE

    assert lines == [{"event": str(WORSE), "error": "VerdictError", "log_level": "error"}]
    assert (ended.value.code, ended.value.error) == (1, WORSE)
    assert ended.value.__suppress_context__


def test_what_nobody_expected_leaves_as_it_is() -> None:
    with structlog.testing.capture_logs() as lines, pytest.raises(ZeroDivisionError), told():
        _ = 1 / 0

    assert lines == []


def test_a_task_keeps_its_name_its_arguments_and_its_words() -> None:
    @step(retries=2)
    def upgrade(release_id: str) -> str:
        """Upgrade by Helm."""
        if release_id == "bad":
            raise WORSE
        return release_id

    made: Any = upgrade
    assert made.function("r") == "r"
    assert (made.function.__name__, made.function.__doc__) == ("upgrade", "Upgrade by Helm.")
    with pytest.raises(Ended):
        made.function(release_id="bad")


def test_a_sensor_tells_its_verdict_the_same_way() -> None:
    sensor = CanarySensor(task_id="watch_10", release_id="r", stage="weight-10")
    event = {"verdict": "FAIL", "rule": "ERROR_RATE", "reasons": ["20 % errors"]}

    with pytest.raises(Ended) as ended:
        sensor.execute_complete({}, event)  # type: ignore[typeddict-item]

    assert str(ended.value.error).startswith("the canary failed at weight-10 (ERROR_RATE)\n  found  20 % errors")


@pytest.mark.parametrize(
    ("exception", "action"),
    [
        (Ended(WORSE), RetryAction.FAIL),
        (Ended(ClusterError("the API server is away")), RetryAction.DEFAULT),
        (KeyError("unexpected"), RetryAction.DEFAULT),
        (SystemExit(1), RetryAction.DEFAULT),
    ],
    ids=["decided", "away", "unexpected", "ended otherwise"],
)
def test_what_is_decided_is_not_tried_again(exception: BaseException, action: RetryAction) -> None:
    assert UntilSettled().evaluate(exception, 1, 5).action is action


def test_the_command_line_finds_the_sentence_by_the_same_name() -> None:
    from slipway.hooks import airflow

    assert airflow.ENDING == LOGGER
