"""What stands before the first release: namespace, Secret, database. Each part is made once."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from slipway.errors import ClusterError
from slipway.flow import credentials
from slipway.hooks.cluster import CONFLICT, NOT_FOUND, code_of, worded

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightkube import Client
    from slipway.flow.site import Site

PASSWORD_KEY = "APP_DATABASE_PASSWORD"  # noqa: S105 - its name
OWNER = "hive"


@dataclass(frozen=True)
class Ground:
    """Where the demo's application is released to."""

    site: Site
    log: Callable[[str], object]

    def lay(self) -> None:
        """Make what is missing."""
        with self.site.cluster() as client:
            self._namespace(client)
            self._database(self._password(client))

    def _namespace(self, client: Client) -> None:
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import Namespace

        name = self.site.namespace
        try:
            with worded(f"create namespace {name}"):
                client.create(Namespace(metadata=ObjectMeta(name=name)))
        except ClusterError as error:
            if code_of(error) != CONFLICT:
                raise
        self.log(f"namespace {name}")

    def _password(self, client: Client) -> str:
        """Return the database's password; it is kept in the Secret and nowhere else."""
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.core_v1 import Secret

        name = self.site.spec.secrets.name if self.site.spec.secrets else ""
        try:
            with worded(f"read Secret {name}"):
                found = client.get(Secret, name, namespace=self.site.namespace).data or {}
                return base64.b64decode(found[PASSWORD_KEY]).decode()
        except ClusterError as error:
            if code_of(error) != NOT_FOUND:
                raise
        password = secrets.token_urlsafe(18)
        with worded(f"create Secret {name}"):
            client.create(
                Secret(
                    metadata=ObjectMeta(name=name, namespace=self.site.namespace), stringData={PASSWORD_KEY: password}
                )
            )
        self.log(f"Secret {name}")
        return password

    def _database(self, password: str) -> None:
        database = self.site.here.database
        if database is None:
            return
        login = credentials.login(database.connection)
        address = self.site.environment.network.addresses.get(database.host)
        with psycopg.connect(
            host=login.host, hostaddr=address, port=database.port, user=login.user, password=login.password,
            dbname="postgres", autocommit=True, connect_timeout=5,
        ) as connection:  # fmt: skip
            owner, name = sql.Identifier(OWNER), sql.Identifier(database.name)
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone()
            verb = sql.SQL("ALTER" if known else "CREATE")
            connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, owner, sql.Literal(password)))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database.name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
                self.log(f"database {database.name}")
