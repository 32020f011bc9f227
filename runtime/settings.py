"""What a person can choose about the runtime, read from the environment and checked before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, PostgresDsn, StringConstraints, TypeAdapter, ValidationError

from runtime.home import REPOSITORY, Home
from testbed import sandbox
from testbed.errors import UsageError
from testbed.home import Home as TestbedHome
from testbed.network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "SLIPWAY_RUNTIME_"
POSTGRES_PORT = 5432


class Choices(BaseModel):
    """The SLIPWAY_RUNTIME_* variables; each has a default that fits beside one testbed.

    :param home: the state folder; ``down`` removes it.
    :param port: TCP port of Airflow's UI and API on 127.0.0.1.
    :param dags: the folder with the DAG files.
    :param suffix: hangs on the names of databases and roles, so that a second runtime can run beside the first.
    :param postgres: address of a PostgreSQL and a user of it who may create databases; default: the testbed's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Path("/var/lib/slipway-runtime")
    port: Annotated[int, Field(ge=1024, le=65535)] = 8282
    dags: Path = REPOSITORY / "dags"
    suffix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{0,20}$")] = ""
    postgres: PostgresDsn | None = None


@dataclass(frozen=True)
class Settings:
    """Everything that the other modules need to know about the surroundings.

    :param dags: the folder with the DAG files.
    :param suffix: hangs on the names of databases and roles.
    :param postgres: libpq address of the administrator.
    :param kubeconfig: what reaches the cluster that is released to.
    :param programs: the folder with kubectl and helm.
    :param sinks: address of the machine that takes chat messages and mail, None when there is no testbed.
    """

    home: Home
    port: int
    dags: Path
    suffix: str
    postgres: str
    kubeconfig: Path
    programs: Path
    sinks: str | None

    @property
    def url(self) -> str:
        """The address of the UI; the API is below it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def metadata(self) -> str:
        """Name of Airflow's own database, and of the role that owns it."""
        return f"airflow{self.suffix}"

    @property
    def ledger(self) -> str:
        """Name of slipway's database, and of the role that owns it."""
        return f"slipway_ledger{self.suffix}"


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings.

    :param environ: the variables; default: those of this process.
    :raises UsageError: a variable is unknown, or its value is refused.
    """
    environ = os.environ if environ is None else environ
    given = {key.removeprefix(PREFIX).lower(): value for key, value in environ.items() if key.startswith(PREFIX)}
    try:
        choices = TypeAdapter(Choices).validate_python({key: value for key, value in given.items() if value})
    except ValidationError as error:
        raise UsageError(
            "the runtime's settings are refused",
            found="\n".join(_finding(item["loc"], item["msg"]) for item in error.errors()),
            do=f"known: {', '.join(PREFIX + name.upper() for name in Choices.model_fields)}",
        ) from error
    bed = TestbedHome.default()
    running = sandbox.find(bed)
    existing = environ.get("SLIPWAY_KUBECONTEXT")
    address = str((running.network if running else Network.plan(1)).control)
    kubeconfig = Path(environ.get("KUBECONFIG") or Path.home() / ".kube/config") if existing else bed.kubeconfig
    return Settings(
        home=Home(choices.home),
        port=choices.port,
        dags=choices.dags.absolute(),
        suffix=choices.suffix,
        postgres=str(choices.postgres or f"postgresql://postgres:testbed@{address}:{POSTGRES_PORT}/postgres"),
        kubeconfig=kubeconfig,
        programs=bed.bin,
        sinks=None if existing else address,
    )


def _finding(where: tuple[int | str, ...], what: str) -> str:
    return f"{PREFIX}{str(where[0]).upper()}: {what}"
