"""What a statement reads, how long it takes, and what indexes are: nothing is estimated here."""

import dataclasses
import json
import re
import time

from psycopg import pq

# A statement that takes longer counts as this long, and as the blocks of a whole scan until then are not known, as without an answer.
PATIENCE = "60s"
# Each sample runs so often; blocks are the same each time, and the best time is taken.
TIMES = 3
BLOCKS_OF_TRANSACTION = """
SELECT coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 't')
"""
INDEXES = """
SELECT c.oid, c.relname, pg_get_indexdef(c.oid), t.relname, c.relispartition, x.indisvalid, pg_relation_size(c.oid),
       (SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(c.oid)),
       (SELECT coalesce(sum(pg_stat_get_numscans(relid)), 0) FROM pg_partition_tree(c.oid)) + coalesce(pg_stat_get_numscans(c.oid), 0)
FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid
WHERE c.relnamespace = 'public'::regnamespace
"""


class Refused(Exception):
    """The server's own words."""


@dataclasses.dataclass
class Run:
    """What one statement with one set of values did."""

    blocks: float
    ms: float
    used: list
    late: bool = False
    # Given to the client; bytes by the planner's width of a row.
    rows: float = 0
    bytes: float = 0


@dataclasses.dataclass
class Built:
    """An index that is there."""

    oid: int
    name: str
    definition: str
    table: str
    part: bool
    valid: bool
    bytes: int
    scans: int

    @property
    def body(self):
        """What it is, without its name."""
        return re.sub(r"^CREATE (UNIQUE )?INDEX \S+ ON (ONLY )?", r"\1", self.definition)


def run(connection, sql, values=(), types=()):
    """Rows of a statement with values as the wire has them."""
    params = [None if value is None else value.encode() for value in values]
    oids = list(types) + [0] * (len(params) - len(types)) if types else None
    result = connection.pgconn.exec_params(sql.encode(), params, oids)
    if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        raise Refused(result.error_message.decode().strip())
    rows, columns = range(result.ntuples), range(result.nfields)
    return [[_text(result.get_value(row, column)) for column in columns] for row in rows]


def _text(value):
    return None if value is None else value.decode()


def plan(connection, statement, values, options="FORMAT JSON"):
    """What EXPLAIN says."""
    answer = run(connection, f"EXPLAIN ({options}) {statement.sql}", values, statement.types)
    return json.loads(answer[0][0])[0]


def measured(connection, statement, times=None):
    """Each sample's best of `times`; what it changes is taken back."""
    return [_best(connection, statement, values, times or TIMES) for values in statement.samples]


def _best(connection, statement, values, times):
    runs = []
    for _ in range(times):
        runs.append(_once(connection, statement, values))
        if runs[-1].ms > 5000:
            break
    last = runs[-1]
    return Run(min(one.blocks for one in runs), min(one.ms for one in runs), last.used, last.late, last.rows, last.bytes)


def _once(connection, statement, values):
    run(connection, "BEGIN")
    try:
        run(connection, f"SET LOCAL statement_timeout = '{PATIENCE}'")
        before = _fetched(connection) if statement.writes else 0
        found = plan(connection, statement, values, "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON")
        blocks = found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"]
        if statement.writes:
            # What triggers read stands in no plan.
            blocks = _fetched(connection) - before
        used, rows = sorted(set(members(found, "Index Name"))), found["Plan"]["Actual Rows"]
        return Run(blocks, found["Execution Time"], used, rows=rows, bytes=rows * found["Plan"]["Plan Width"])
    except Refused as refused:
        if "statement timeout" not in str(refused):
            raise
        return Run(float("nan"), 60000.0, [], late=True)
    finally:
        run(connection, "ROLLBACK")


def _fetched(connection):
    return int(run(connection, BLOCKS_OF_TRANSACTION)[0][0])


def members(value, name):
    """All members of this name, wherever they are."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key == name:
                yield below
            else:
                yield from members(below, name)
    elif isinstance(value, list):
        for below in value:
            yield from members(below, name)


def indexes(connection):
    """All indexes of the database by OID; a partitioned one with the bytes and the scans of its parts."""
    rows = connection.execute(INDEXES).fetchall()
    return {
        oid: Built(oid, name, definition, table, part, valid, int(size or tree) if size else int(tree), int(scans))
        for oid, name, definition, table, part, valid, size, tree, scans in rows
    }


def build(connection, wanted):
    """Creates indexes as they are written; gives those that are new, and what the server refused."""
    before, errors = indexes(connection), []
    for sql in wanted:
        try:
            connection.execute(plain(sql))
        except Exception as error:  # whatever it is, it is the contestant's
            errors.append(f"{sql}: {error}")
    new = [index for oid, index in indexes(connection).items() if oid not in before and not index.part]
    for table in {index.table for index in new if "((" in index.definition or "lower(" in index.definition or "to_tsvector" in index.definition}:
        # An index on an expression has no statistics before.
        connection.execute(f'ANALYZE "{table}"')
    return new, errors


def drop(connection, built):
    """Removes what was built."""
    for index in built:
        connection.execute(f'DROP INDEX IF EXISTS "{index.name}"')


def unwritten(connection):
    """Tables of which no write was counted."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    counted = "SELECT relid FROM pg_stat_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del = 0"
    return [oid for (oid,) in connection.execute(counted).fetchall()]


def forget_writes(connection, tables):
    """Makes the counters of these tables begin anew: what one case writes is nothing that the next one's database has seen."""
    connection.execute("SELECT pg_stat_reset_single_table_counters(oid) FROM unnest(%s::oid[]) AS oid", [tables])


def plain(sql):
    """Without what only matters where others are at work."""
    return re.sub(r"\bCONCURRENTLY\s+", "", sql, flags=re.IGNORECASE)


def is_duplicate(index, others):
    """Whether another index has the same keys, or these first, over the same rows."""
    same = [other for other in others if other.oid != index.oid and other.table == index.table and not other.part]
    return any(_serves(other.body, index.body) for other in same)


def _serves(other, index):
    if other == index:
        return True
    keys, rest = _keys(index)
    more, rest_of_other = _keys(other)
    return rest == rest_of_other == "" and "USING btree" in index and "USING btree" in other and more[: len(keys)] == keys


def _keys(body):
    found = re.fullmatch(r".* USING \w+ \(([^()]*)\)(.*)", body)
    return (found[1].split(", "), found[2]) if found else ([body], "complicated")


def writes(connection, path):
    """Runs a file of writes; gives its WAL in bytes, its seconds, and those of each statement by name."""
    connection.execute("CHECKPOINT")
    start = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
    seconds = {}
    for part in ("\n" + path.read_text()).split("\n-- ")[1:]:
        name, sql = part.split("\n", 1)
        begin = time.monotonic()
        connection.execute(sql)
        seconds[name] = time.monotonic() - begin
    wal = connection.execute("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", [start]).fetchone()[0]
    return {"wal": int(wal), "seconds": sum(seconds.values()), "parts": seconds}
