"""Every DAG file as Airflow will read it: it explains itself, and nothing in it can leave a canary behind."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import DAG

IDS = ("release", "rollback", "watchdog")
UNDER_THE_LOCK = ("build.", "deploy.", "migrate.", "monitoring.", "canary.", "announce")
FORMS = ("release", "rollback")


def test_there_is_one_dag_a_file_and_each_has_the_name_of_its_file(parsed: dict[str, list[DAG]]) -> None:
    """One a file, because callbacks of a file queue behind one another."""
    assert {name: [dag.dag_id for dag in dags] for name, dags in parsed.items()} == {name: [name] for name in IDS}


@pytest.mark.parametrize("name", IDS)
def test_a_dag_explains_itself(dags: dict[str, DAG], name: str) -> None:
    dag = dags[name]

    assert dag.description
    assert (dag.doc_md or "").lstrip().startswith(f"# {name.capitalize()}\n")
    assert "release" in dag.tags
    assert {task.owner for task in dag.tasks} == {"release engineering"}


@pytest.mark.parametrize("name", IDS)
def test_every_task_says_what_it_does(dags: dict[str, DAG], name: str) -> None:
    silent = [task.task_id for task in dags[name].tasks if not _words(task)]

    assert silent == []


def test_each_task_of_a_release_says_what_green_proves_and_what_to_do_when_it_is_red(dags: dict[str, DAG]) -> None:
    from slipway.groups.guide import GUIDE

    tasks = dags["release"].task_dict

    assert set(GUIDE) == set(tasks), "a text for each task, and no text for none"
    assert {name: task.doc_md for name, task in tasks.items()} == dict(GUIDE)
    for name, text in GUIDE.items():
        assert re.fullmatch(r"[A-Z][^;]+; green proves that [^;]+; when red, [^;]+\.", text), name


@pytest.mark.parametrize("name", IDS)
def test_nothing_skips_the_teardown(dags: dict[str, DAG], name: str) -> None:
    """A run that times out, or that fails fast, has its teardowns skipped by Airflow, too."""
    assert dags[name].dagrun_timeout is None
    assert dags[name].fail_fast is False


@pytest.mark.parametrize("name", IDS)
def test_nothing_runs_by_itself_but_the_watchdog(dags: dict[str, DAG], name: str) -> None:
    assert (dags[name].schedule, dags[name].catchup) == ("* * * * *" if name == "watchdog" else None, False)


# --- release


def test_the_phases_stand_in_the_order_of_the_runbook(dags: dict[str, DAG]) -> None:
    order = [task.task_id.partition(".")[0] for task in dags["release"].topological_sort()]

    assert list(dict.fromkeys(order)) == [
        "configure", "build", "deploy", "migrate", "monitoring", "canary", "announce", "settle",
    ]  # fmt: skip


def test_settle_is_the_teardown_of_the_lock_and_fails_the_run(dags: dict[str, DAG]) -> None:
    dag = dags["release"]
    settle, acquire = dag.get_task("settle"), dag.get_task("configure.acquire")

    assert acquire.is_setup
    assert settle.is_teardown
    assert settle.on_failure_fail_dagrun
    assert [task.task_id for task in dag.tasks if task.is_teardown] == ["settle"]
    assert "configure.acquire" in settle.upstream_task_ids
    assert settle.downstream_task_ids == set()
    assert settle.retries >= 1


def test_settle_has_every_task_under_the_lock_as_a_direct_upstream(dags: dict[str, DAG]) -> None:
    """Behind a single leaf, a teardown starts too early: while an earlier task still works."""
    dag = dags["release"]
    work = {task.task_id for task in dag.tasks if task.task_id.startswith(UNDER_THE_LOCK)}

    assert work == set(dag.task_dict) - {"settle"} - {name for name in dag.task_dict if name.startswith("configure.")}
    assert work <= dag.get_task("settle").upstream_task_ids


def test_no_task_under_the_lock_comes_before_the_lock(dags: dict[str, DAG]) -> None:
    dag = dags["release"]
    after = dag.get_task("configure.acquire").get_flat_relative_ids(upstream=False)

    assert {name for name in dag.task_dict if name.startswith(UNDER_THE_LOCK)} <= after


def test_no_step_is_tried_again_by_airflow(dags: dict[str, DAG]) -> None:
    """What fails goes back; settle alone is repeated until the release has an end."""
    assert {task.task_id for task in dags["release"].tasks if task.retries} == {"settle"}


def test_one_step_follows_the_other(dags: dict[str, DAG]) -> None:
    """No two steps of one release may act on the cluster at the same time."""
    dag = dags["release"]
    steps = [task for task in dag.topological_sort() if task.task_id.startswith(UNDER_THE_LOCK)]

    for first, second in itertools.pairwise(steps):
        assert second.task_id in first.get_flat_relative_ids(upstream=False), (first.task_id, second.task_id)


# --- watchdog


def test_the_watchdog_is_awake_and_alone(dags: dict[str, DAG]) -> None:
    dag = dags["watchdog"]

    assert dag.is_paused_upon_creation is False
    assert dag.max_active_runs == 1
    assert len(dag.tasks) == 1


# --- the forms


@pytest.mark.parametrize("name", FORMS)
def test_every_field_of_a_form_is_described_and_typed(dags: dict[str, DAG], name: str) -> None:
    for field in dags[name].params:
        param = _param(dags[name], field)
        assert param.description, field
        assert param.schema["title"], field
        assert param.schema["type"] in ("string", "boolean", "number", ["string", "null"]), field


@pytest.mark.parametrize("name", FORMS)
def test_names_are_chosen_and_not_typed(dags: dict[str, DAG], name: str) -> None:
    assert _param(dags[name], "application").schema["enum"] == ["hive-platform"]
    assert _param(dags[name], "environment").schema["enum"] == ["local", "production", "staging"]


def test_a_version_is_typed_by_a_person_every_time(dags: dict[str, DAG]) -> None:
    version = _param(dags["release"], "version")

    assert not version.has_value
    for text, fits in (
        ("1.0.0", True), ("1.1.0-rc.1", True), ("v1.0.0", False), ("1.0", False), ("1.0.0; rm -rf /", False),
        ("{{ 1 }}", False), ("../1.0.0", False), ("", False),
    ):  # fmt: skip
        assert bool(re.search(version.schema["pattern"], text)) is fits, text


def test_a_careless_click_releases_nothing(dags: dict[str, DAG]) -> None:
    """Airflow itself refuses the form with its defaults: the version is missing."""
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError, match="No value"):
        dags["release"].params.validate()


def test_a_rollback_without_a_reason_is_refused_by_the_form(dags: dict[str, DAG]) -> None:
    reason = _param(dags["rollback"], "reason")

    assert not reason.has_value
    assert reason.schema["minLength"] == 3


# --- serialization


@pytest.mark.parametrize("name", IDS)
def test_two_parses_give_the_same_dag(parse: Callable[[str], DAG], name: str) -> None:
    """Whatever differs between two parses makes a new version of the DAG each time."""
    assert _serialized(parse(name)) == _serialized(parse(name))


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # Airflow's own, when it lists plugins
@pytest.mark.parametrize("name", IDS)
def test_a_dag_comes_back_from_the_database_as_it_went(dags: dict[str, DAG], name: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    stored = json.loads(_serialized(dags[name]))
    back = DagSerialization.from_dict(json.loads(_serialized(dags[name])))

    assert sorted(back.task_dict) == sorted(dags[name].task_dict)
    for task in dags[name].tasks:
        assert back.get_task(task.task_id).upstream_task_ids == task.upstream_task_ids
    assert stored["dag"]["dag_id"] == name


def _serialized(dag: DAG) -> str:
    from airflow.serialization.serialized_objects import DagSerialization

    return json.dumps(DagSerialization.to_dict(dag), sort_keys=True, default=str)


def _param(dag: DAG, name: str) -> Any:
    return dag.params.get_param(name)


def _words(task: Any) -> str:
    """Return what a person reads who opens the task: its text, or the docstring of its class."""
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    if task.doc_md:
        return str(task.doc_md)
    if isinstance(task, MappedOperator):  # its text is that of the function that it will run
        return str(getattr(task, "python_callable", task.operator_class).__doc__ or "")
    return str(type(task).__doc__ or "")
