"""The place of the experiment: a throw-away PostgreSQL in a folder of its own, gone when this process is."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import psycopg

# Ends the server and removes the folder when the pipe to it closes, however this process ends.
KEEPER = """
folder=$1; shift
"$@" >"$folder/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server 2>/dev/null
while kill -0 $server 2>/dev/null; do sleep 0.1; done
rm -rf "$folder"
"""

# Everything is in memory and nothing is parallel, so that blocks are the same in each run, and times nearly so. Nothing cleans up or gathers
# statistics by itself: tables stay as the schema leaves them. What a page costs is as most people with SSDs set it.
SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 60
shared_buffers = '1GB'
effective_cache_size = '3GB'
random_page_cost = 1.1
work_mem = '16MB'
maintenance_work_mem = '256MB'
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
jit = off
autovacuum = off
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = '256MB'
timezone = 'UTC'
lc_messages = 'C'
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.max = 20000
pg_stat_statements.track = 'top'
"""


class Lab:
    """A running server, on which superuser `bench` needs no password."""

    def __init__(self, template):
        """From a data folder that an earlier run kept at `template`, or an empty one."""
        self.bin = newest_bin()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-advice-"))
        self.port = free_port()
        self.template = template
        self.keepers = []
        self.is_new = not template.exists()
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        if self.is_new:
            self._init()
        else:
            subprocess.run(["cp", "-a", template, self.folder / "data"], check=True)
        settings = f"{SETTINGS}port = {self.port}\nunix_socket_directories = '{self.folder}'\n"
        with open(self.folder / "data/postgresql.auto.conf", "a", encoding="utf-8") as conf:
            conf.write(settings)
        self._start()

    def keep(self):
        """Keeps the data as it is now for the next run."""
        self.complete([self.bin / "pg_ctl", "-D", self.folder / "data", "-m", "fast", "-w", "stop"])
        # What was logged while the databases were filled is not needed any more.
        self.complete([self.bin / "pg_resetwal", "-D", self.folder / "data"])
        half = self.template.with_suffix(".half")
        shutil.rmtree(half, ignore_errors=True)
        self.template.parent.mkdir(parents=True, exist_ok=True)
        # What the keeper would have removed stays: it sees a server that has ended, and nothing closes its pipe yet.
        subprocess.run(["cp", "-a", self.folder / "data", half], check=True)
        half.rename(self.template)
        self._start()

    def _init(self):
        self.complete(
            [self.bin / "initdb", "-D", self.folder / "data", "-U", "bench", "-A", "trust", "-E", "UTF8"]
            # A collation that does not order by bytes, as most databases have it.
            + ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync"]
        )

    def _start(self):
        server = [self.bin / "postgres", "-D", self.folder / "data"]
        words = ["/bin/sh", "-c", KEEPER, "pgweir-advice", self.folder, *as_postgres(server)]
        self.keepers.append(subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True))
        self._wait()

    def url(self, database):
        """A connection string for a database; the server does not look at the password."""
        return f"postgres://bench:bench@127.0.0.1:{self.port}/{database}"

    def connect(self, database="postgres"):
        """A connection that commits each statement."""
        return psycopg.connect(self.url(database), autocommit=True)

    def script(self, database, path):
        """Runs a file; its first error ends the run."""
        words = [self.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-f", path]
        self.complete(words, stdout=subprocess.DEVNULL)

    def create(self, database, template=None):
        """A database, as a copy of another where one is named."""
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            copied = f" TEMPLATE {template} STRATEGY file_copy" if template else ""
            connection.execute(f"CREATE DATABASE {database}{copied}")

    def drop(self, database):
        """Ends who is in it, and removes it."""
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def cpu(self):
        """Seconds of processor time that ended sessions have used."""
        pid = (self.folder / "data/postmaster.pid").read_text().split()[0]
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def complete(self, words, **kept):
        """Runs a program of the server to its end."""
        subprocess.run([str(word) for word in as_postgres(words, server_only=True)], check=True, cwd="/", **quiet(kept))

    def close(self):
        """Stops the server and removes its folder."""
        for keeper in reversed(self.keepers):
            keeper.stdin.close()
            keeper.wait()

    def _wait(self):
        for _ in range(600):
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if self.keepers[-1].poll() is not None:
                    break
                time.sleep(0.1)
        raise SystemExit(f"bench-advice: PostgreSQL does not start: {(self.folder / 'log').read_text()}")


def quiet(kept):
    """Without output, unless the caller keeps it."""
    return {"stdout": subprocess.DEVNULL} | kept


def newest_bin():
    """The programs of the newest PostgreSQL that is installed, where HypoPG is there too."""
    versions = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted(versions, key=lambda path: int(path.parts[-3]), reverse=True)
    having = [path for path in found if pathlib.Path(f"/usr/share/postgresql/{path.parts[-3]}/extension/hypopg.control").exists()]
    if not found:
        raise SystemExit("bench-advice: no PostgreSQL in /usr/lib/postgresql; scripts/setup.sh bench-advice installs one")
    return (having or found)[0].parent


def as_postgres(words, server_only=False):
    """The command as the user postgres, where we are root, which the server refuses to be."""
    name = pathlib.Path(str(words[0])).name
    if os.getuid() != 0 or (server_only and name == "psql"):
        return [str(word) for word in words]
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--", *map(str, words)]


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
