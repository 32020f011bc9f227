"""How an error of ours ends a task: its sentence, once, and no traceback. What nobody expected keeps its own.

Airflow writes a traceback of every exception that leaves a task, but not of a SystemExit; it tries both again.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from airflow.sdk import RetryDecision, RetryPolicy, task

from slipway.errors import SlipwayError, VerdictError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import Task

P = ParamSpec("P")
R = TypeVar("R")

LOGGER = "slipway.ending"
"""Name under which the sentence is in a task's log; the field `error` beside it is the kind."""


class Ended(SystemExit):
    """A task that has said why it cannot go on.

    :param error: what it was.
    """

    def __init__(self, error: SlipwayError) -> None:
        super().__init__(1)
        self.error = error


@contextmanager
def told() -> Iterator[None]:
    """Let an error of ours leave a task as its sentence; for `with`, or as a decorator."""
    import structlog

    try:
        yield
    except SlipwayError as error:
        structlog.get_logger(LOGGER).error(str(error), error=type(error).__name__)
        raise Ended(error) from None


@overload
def step(function: Callable[P, R]) -> Task[P, R]: ...


@overload
def step(function: None = None, **options: Any) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def step(function: Callable[P, R] | None = None, **options: Any) -> Any:
    """Make a task of a function, as `task` does, whose errors are told.

    :param options: of `task`.
    """

    def made(of: Callable[P, R]) -> Any:
        return task(**options)(told()(of))

    return made if function is None else made(function)


class UntilSettled(RetryPolicy):
    """Tries again what another system kept from being done, and not what is decided: it would only be said again."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Return what follows."""
        del try_number, max_tries, context
        decided = isinstance(exception, Ended) and isinstance(exception.error, VerdictError)
        return RetryDecision.fail() if decided else RetryDecision.default()
