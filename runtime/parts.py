"""The parts of an Airflow: four processes that talk through its database and its API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part.

    :param name: the name that people and supervisord use.
    :param title: as Airflow's documentation writes it.
    :param arguments: of the ``airflow`` command.
    :param health: its key in ``/api/v2/monitor/health``; empty for the API server, which is well when it answers.
    :param starts_s: the seconds that it takes on two cores, for the progress.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    health: str
    starts_s: float


# All parts of one machine read the same log files, so nobody has to serve them on a port.
PARTS = (
    Part("api-server", "API server", ("api-server",), "", 16),
    Part("scheduler", "scheduler", ("scheduler", "--skip-serve-logs"), "scheduler", 1),
    Part("dag-processor", "DAG processor", ("dag-processor",), "dag_processor", 1),
    Part("triggerer", "triggerer", ("triggerer", "--skip-serve-logs"), "triggerer", 1),
)
NAMES = tuple(part.name for part in PARTS)
