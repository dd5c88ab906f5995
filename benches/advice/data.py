"""Fills the databases: the application's, TPC-H's, and the films'."""

import pathlib
import subprocess
import sys
import tempfile

import workload

TABLES = ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"]
# A tenth of a gigabyte.
SCALE = "0.1"


def fill(lab):
    """Blocks for a minute or two."""
    print("filling the databases; the next run finds them", file=sys.stderr, flush=True)
    for name in ("desk", "joins"):
        lab.create(name)
        lab.script(name, workload.HERE / f"{name}-schema.sql")
    lab.create("tpch")
    _fill_tpch(lab)


def _fill_tpch(lab):
    """By `tpchgen-cli`, which scripts/setup.sh puts beside this Python."""
    lab.script("tpch", workload.HERE / "tpch-schema.sql")
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(sys.executable).parent / "tpchgen-cli"
        subprocess.run([program, "csv", "-s", SCALE, "--output-dir", folder], check=True, capture_output=True)
        with lab.connect("tpch") as connection:
            for table in TABLES:
                _load(connection, table, pathlib.Path(folder) / f"{table}.csv")
            connection.execute("VACUUM (ANALYZE)")


def _load(connection, table, path):
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv, HEADER)") as copy, open(path, "rb") as rows:
        while chunk := rows.read(1 << 20):
            copy.write(chunk)
