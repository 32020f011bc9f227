from __future__ import annotations

import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.names import Occasion

airflow_notifier = pytest.importorskip("slipway.notifications.airflow_notifier")

if TYPE_CHECKING:
    from slipway.notifications.message import Message


class Recorder:
    """Stands in for the notifier."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> list[Any]:
        self.sent.append(message)
        return []


def context(version: str, **more: Any) -> Any:
    run_id = f"manual__{version}"
    return {
        "params": {"application": "hive-platform", "version": version, "environment": "staging"},
        "run_id": run_id,
        "ti": SimpleNamespace(dag_id="release", task_id="canary.watch_10", log_url="https://airflow.example.com/log"),
        "exception": RuntimeError("helm said postgresql://u:hunter2@db/x"),
        **more,
    }


def test_one_instance_serves_two_runs_with_their_own_words() -> None:
    recorder = Recorder()
    notifier = airflow_notifier.ReleaseNotifier(notifier=lambda: recorder)
    first, second = context("1.0.1"), context("1.0.2")
    notifier(first)
    notifier(second)
    assert [message.release.version for message in recorder.sent] == ["1.0.1", "1.0.2"]
    assert [message.release.id for message in recorder.sent] == ["manual__1.0.1", "manual__1.0.2"]
    # Neither the instance nor a context that other callbacks get too has been written to.
    assert notifier.version == "{{ params.version }}"
    assert set(first) == {"params", "run_id", "ti", "exception"}


def test_the_stock_way_would_send_the_first_runs_words_twice() -> None:
    """The trap is still there, so the test above proves something."""
    from airflow.sdk import BaseNotifier

    class Stock(BaseNotifier):
        template_fields = ("version",)

        def __init__(self) -> None:
            super().__init__()
            self.version = "{{ params.version }}"
            self.said: list[str] = []

        def notify(self, _context: Any) -> None:
            self.said.append(self.version)

    stock = Stock()
    stock(context("1.0.1"))
    stock(context("1.0.2"))
    assert stock.said == ["1.0.1", "1.0.1"]


def test_a_failure_says_where_and_why_without_secrets() -> None:
    recorder = Recorder()
    airflow_notifier.ReleaseNotifier(notifier=lambda: recorder)(context("1.0.1"))
    (message,) = recorder.sent
    assert message.occasion is Occasion.ABORTED
    assert message.reason == ("helm said postgresql://***@db/x\nDAG release, run manual__1.0.1, task canary.watch_10")
    assert [link.url for link in message.links] == ["https://airflow.example.com/log"]


def test_a_template_in_a_parameter_is_only_text() -> None:
    recorder = Recorder()
    airflow_notifier.ReleaseNotifier(notifier=lambda: recorder)(context("{{ 7 * 6 }}"))
    assert recorder.sent[0].release.version == "{{ 7 * 6 }}"


def test_a_bare_context_still_sends() -> None:
    recorder = Recorder()
    airflow_notifier.ReleaseNotifier(notifier=lambda: recorder)(
        {"reason": "timed_out", "dag_run": SimpleNamespace(run_id="r7")}
    )
    (message,) = recorder.sent
    assert (message.release.id, message.release.application) == ("r7", "unknown")
    assert message.reason == "timed_out\nrun r7"


def test_nothing_to_say_sends_nothing() -> None:
    recorder = Recorder()
    airflow_notifier.ReleaseNotifier(notifier=lambda: recorder, message=lambda *_: None)(context("1.0.1"))
    assert recorder.sent == []


@pytest.mark.parametrize("arguments", [(), ("not a context",), (None,), ({}, 1, 2, 3)])
def test_a_callback_never_raises(arguments: tuple[Any, ...]) -> None:
    def broken() -> Any:
        raise RuntimeError("https://hooks.slack.com/services/T0/B0/hunter2")

    airflow_notifier.ReleaseNotifier(notifier=broken)(*arguments)


def test_a_callback_returns_within_its_bound() -> None:
    go_on = threading.Event()
    began = time.monotonic()
    airflow_notifier.ReleaseNotifier(notifier=lambda: go_on.wait(30), bound_s=0.3)(context("1.0.1"))
    assert time.monotonic() - began < 2
    go_on.set()


def test_parsing_a_dag_loads_no_client() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import slipway.notifications.sending, slipway.notifications.message, slipway.notifications.settings\n"
        "new = set(sys.modules) - before\n"
        "print(sorted(name for name in new if name.split('.')[0] in {'airflow', 'httpx', 'smtplib', 'jinja2'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
