"""A real PostgreSQL 15, as a process."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from psycopg import Connection, OperationalError, connect
from psycopg.sql import SQL, Identifier

from tests.servers.ports import free_port
from tests.servers.processes import running, until

BINARIES = Path("/usr/lib/postgresql/15/bin")
# Tables and their rows, however they are ordered, in one number each.
_CONTENTS = """
SELECT string_agg(format(
    'SELECT %L AS name, md5(coalesce(string_agg(r::text, chr(10) ORDER BY r::text), ''''))'
    ' FROM %I AS r', tablename, tablename), ' UNION ALL ')
FROM pg_tables WHERE schemaname = 'public'
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where PostgreSQL listens."""

    port: int

    def url(self, database: str = "postgres") -> str:
        """The address as SQLAlchemy takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database; returns its address."""
        with closing(self._connect("postgres")) as connection:
            connection.autocommit = True
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(database)))
        return self.url(database)

    def contents(self, database: str) -> dict[str, str]:
        """Return a digest of every table."""
        with closing(self._connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(_CONTENTS)
            row = cursor.fetchone()
            assert row is not None
            cursor.execute(row[0])
            return dict(cursor.fetchall())

    def answers(self) -> bool:
        """Tell whether it takes connections."""
        try:
            self._connect("postgres").close()
        except OperationalError:
            return False
        return True

    def _connect(self, database: str) -> Connection:
        return connect(self.url(database))


@contextmanager
def postgres(log: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL until the block ends. It refuses to run as root, so it runs as its user."""
    user = "postgres" if os.geteuid() == 0 else None
    with TemporaryDirectory(prefix="postgres-") as folder:
        if user:
            shutil.chown(folder, user)
        data = f"{folder}/data"
        made = [str(BINARIES / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(made, user=user, cwd=folder, check=True, capture_output=True)
        server = Postgres(free_port())
        # What is written here need not outlive the test.
        options = ["fsync=off", "full_page_writes=off", f"unix_socket_directories={folder}"]
        argv = [str(BINARIES / "postgres"), "-D", data, "-p", str(server.port)]
        argv += [part for option in options for part in ("-c", option)]
        with running(argv, log=log, cwd=Path(folder), user=user) as process:
            until(server.answers, process, log=log)
            yield server
