"""The configuration of Airflow: environment variables, each with its reason. There is no other place for it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from runtime.home import REPOSITORY
from runtime.keys import ROLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.keys import Keys
    from runtime.settings import Settings

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOREIGN = ("AIRFLOW_", "_AIRFLOW_", "PYTHON")
"""Prefixes that are not handed on: what a person exported for another Airflow would change this one."""
CONNECTION = "AIRFLOW_CONN_"
"""Prefix that is handed on: without a testbed, a person names the channels. Where there is one, ours win: a shell that
has read an earlier runtime's environment would bring that one's passwords."""
WARNINGS = "default::DeprecationWarning,ignore:GitWildMatchPattern:DeprecationWarning"
"""What is deprecated is shown, as Airflow does by itself; except its own use of pathspec, once in each task's log."""


def for_parts(settings: Settings, keys: Keys, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of Airflow's processes, and so of every task.

    They run as root with root's HOME, because building images without a daemon (buildah with chroot isolation) needs
    it, and because the images that were built are found in root's storage. The umask stays 022: a task copies files
    into images, where another user has to read them. What is secret is hidden by the mode of the state folder.

    :param inherited: the environment that the runtime was called in.
    """
    own = variables(settings, keys)
    handed_on = {
        key: value for key, value in inherited.items() if key.startswith(CONNECTION) or not key.startswith(FOREIGN)
    }
    direct = ",".join(filter(None, (inherited.get("NO_PROXY") or inherited.get("no_proxy"), *_direct(settings))))
    return (
        handed_on
        | own
        | {
            "PATH": _path(settings),
            "NO_PROXY": direct,
            "no_proxy": direct,
            "BUILDAH_ISOLATION": "chroot",
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": WARNINGS,
        }
    )


def for_shell(settings: Settings, keys: Keys) -> str:
    """Return a file for ``source``: the same Airflow and the same ledger at a prompt, and the administrator's login."""
    values = variables(settings, keys) | {
        "SLIPWAY_AIRFLOW_USER": "admin",
        "SLIPWAY_AIRFLOW_PASSWORD": keys.logins["admin"],
    }
    lines = [f"export {key}={shlex.quote(value)}" for key, value in sorted(values.items())]
    return "\n".join(
        [*lines, f'export PATH={shlex.quote(str(_scripts()))}:{shlex.quote(str(settings.programs))}:"$PATH"', ""]
    )


def variables(settings: Settings, keys: Keys) -> dict[str, str]:
    """Return the variables that are ours: Airflow's options, the connections, and slipway's own."""
    return {
        "AIRFLOW_HOME": str(settings.home.airflow),
        **{
            f"AIRFLOW__{section.upper()}__{option.upper()}": value
            for section, options in _options(settings, keys).items()
            for option, value in options.items()
        },
        **_connections(settings, keys),
        "SLIPWAY_ROOT": str(REPOSITORY),
        "SLIPWAY_KUBECONFIG": str(settings.kubeconfig),
        "KUBECONFIG": str(settings.kubeconfig),
        "SLIPWAY_ENVIRONMENT": "local",
        "SLIPWAY_AIRFLOW_URL": settings.url,
    }


def _options(settings: Settings, keys: Keys) -> dict[str, dict[str, str]]:
    return {
        "core": {
            "executor": "LocalExecutor",
            "dags_folder": str(settings.dags),
            "plugins_folder": str(REPOSITORY / "plugins"),
            "load_examples": "False",
            # Two cores; whatever waits is deferred and holds no slot. Each slot is a forked process.
            "parallelism": "8",
            # A release that was triggered must not wait for somebody to switch its DAG on. A DAG that runs by itself
            # and should not do so here says is_paused_upon_creation=True.
            "dags_are_paused_at_creation": "False",
            "fernet_key": keys.fernet,
            # No DNS question for the machine's own name.
            "hostname_callable": "socket.gethostname",
            "execution_api_server_url": f"{settings.url}/execution/",
            # Its warning in the API server's log takes any PostgreSQL for production; here it is one person's machine.
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": ",".join(f"{user}:{role}" for user, role in ROLES.items()),
            "simple_auth_manager_passwords_file": str(settings.home.logins),
            # Failure callbacks may take their ten seconds and more: the default ends them after 20.
            "task_success_overtime": "60",
        },
        "database": {
            "sql_alchemy_conn": _dsn(settings, settings.metadata, keys.metadata, "postgresql+psycopg"),
            "sql_alchemy_conn_async": _dsn(settings, settings.metadata, keys.metadata, "postgresql+asyncpg"),
        },
        "api": {
            "host": "127.0.0.1",
            "port": str(settings.port),
            "base_url": settings.url,
            "workers": "1",
            "secret_key": keys.session,
            "instance_name": "slipway",
        },
        "api_auth": {"jwt_secret": keys.jwt},
        "scheduler": {
            # The pause between two tasks of a release is mostly this: 0.9 s with the default of 1.
            "scheduler_idle_sleep_time": "0.2",
            # How late the end of a deferred wait is noticed.
            "trigger_timeout_check_interval": "5",
            "task_instance_heartbeat_timeout": "120",
            "max_dagruns_per_loop_to_schedule": "100",
            # After a scheduler was killed: three heartbeats until it counts as dead, and then its tasks are looked for
            # at once, not within five minutes. There is one scheduler, so none that lives can lose its tasks by it.
            "scheduler_health_check_threshold": "15",
            "orphaned_tasks_check_interval": "5",
        },
        # On a busy machine an answer takes more than the default of 5 s. A task that asks twice whether it may start is
        # told the second time that it has started already, and ends there.
        "workers": {"execution_api_timeout": "30"},
        # After a triggerer was killed: how long a canary is watched by nobody. Three heartbeats, too.
        "triggerer": {"capacity": "200", "triggerer_health_check_threshold": "15"},
        "dag_processor": {
            # A new file is seen within seconds. One that did not change is parsed once a minute: two cores.
            "refresh_interval": "10",
            "min_file_process_interval": "60",
            # Failure callbacks run in the same process as parsing and must not be cut.
            "dag_file_processor_timeout": "120",
            "stale_dag_threshold": "180",
            # A DAG that is another one at each parse would flood the database with versions: it is refused.
            "dag_version_inflation_check_level": "error",
        },
        "logging": {
            "file_task_handler_new_folder_permissions": "0o700",
            "file_task_handler_new_file_permissions": "0o600",
            "colored_console_log": "False",
        },
        # Nothing leaves the machine.
        "metrics": {"statsd_on": "False", "otel_on": "False"},
        "traces": {"otel_on": "False"},
    }


def _connections(settings: Settings, keys: Keys) -> dict[str, str]:
    found = {"SLIPWAY_LEDGER": _dsn(settings, settings.ledger, keys.ledger, "postgresql")}
    if settings.sinks:
        found |= _databases(settings)
        found |= {name: json.dumps(connection) for name, connection in _sinks(settings.sinks).items()}
    return {CONNECTION + name: value for name, value in found.items()}


def _databases(settings: Settings) -> dict[str, str]:
    """Return the connections to the databases that include/config/local.yaml names."""
    parts = conninfo_to_dict(settings.postgres)
    login = f"{parts.get('user', 'postgres')}:{quote(str(parts.get('password', '')), safe='')}"
    return {"HIVE_PLATFORM_LOCAL_DB": f"postgresql://{login}@postgres.testbed.internal:5432/hive_platform"}


def _sinks(address: str) -> dict[str, dict[str, object]]:
    """Return the chat and mail connections; they lead to the testbed's servers, which keep what arrives."""
    return {
        "SLIPWAY_DINGTALK": {
            "conn_type": "dingtalk",
            "schema": "http",
            "host": address,
            "port": 8080,
            "password": "testbed",
            "extra": {"secret": "SECtestbed"},
        },
        # As Slack's own provider reads it: host is the address before the token.
        "SLIPWAY_SLACK": {
            "conn_type": "slackwebhook",
            "host": f"http://{address}:8080/services",
            "password": "T0/B0/testbed",
        },
        "SLIPWAY_SMTP": {
            "conn_type": "smtp",
            "host": address,
            "port": 1025,
            "extra": {
                "disable_ssl": True,
                "disable_tls": True,
                "from_email": "slipway@testbed.internal",
                "to": "team@testbed.internal",
            },
        },
    }


def _dsn(settings: Settings, name: str, password: str, scheme: str) -> str:
    parts = conninfo_to_dict(settings.postgres)
    host, port = parts.get("host", "localhost"), parts.get("port", 5432)
    return f"{scheme}://{name}:{quote(password, safe='')}@{host}:{port}/{name}"


def _direct(settings: Settings) -> tuple[str, ...]:
    host = str(conninfo_to_dict(settings.postgres).get("host", "localhost"))
    return (
        "127.0.0.1",
        "localhost",
        "10.200.0.0/16",
        ".testbed.internal",
        *dict.fromkeys((host, settings.sinks or host)),
    )


def _path(settings: Settings) -> str:
    return f"{_scripts()}:{settings.programs}:{SYSTEM_PATH}"


def _scripts() -> Path:
    """Return the folder of the environment's programs; not resolved, for its python is a link out of it."""
    return Path(os.path.abspath(sys.executable)).parent  # noqa: PTH100
