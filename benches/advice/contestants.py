"""Who is asked for indexes. Each gives what it would create, in its own order, and what else it says.

`person` and `nothing` are the ends of the scale. `dexter` and `pgweir` are programs. `greedy` and `at-once` are written here: the first
is what a textbook does with HypoPG, the second goes about it as dexter does (all indexes on one and on two columns at once, those that plans use
and that halve a cost are kept), for machines on which dexter itself cannot be had.
"""

import dataclasses
import heapq
import itertools
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile
import time

import measure
import pgweir_side

# What dexter and those who go about it like it ask for: half of the cost, of statements that cost 100 and more.
SAVED, DEAR = 0.5, 100
# Greedy stops where the next index takes less than this part of what all statements cost, and takes none that takes less than
# that part of the cost of any of them.
WORTH, OF_ONE = 0.001, 0.1
KEYWORDS = r"[A-Za-z_][A-Za-z_0-9]*|\"[^\"]+\""


@dataclasses.dataclass
class Suggestion:
    """What a contestant says of a workload."""

    indexes: list
    findings: list = dataclasses.field(default_factory=list)
    # By a statement's name: the cost that it is said to have with the indexes, as a part of what it has now.
    predicted: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0
    cpu: float = 0
    explains: int = 0
    note: str = ""


class Contestant:
    """Somebody who may be asked."""

    def missing(self):
        """Why it cannot be asked here, if it cannot."""
        return ""

    def prepare(self, lab, database, cases, folder):
        """What is done before the clock runs."""

    def suggest(self, lab, database, cases, folder, budget):
        """What it would create, within so many bytes where they are limited."""
        raise NotImplementedError


class Nothing(Contestant):
    """Leaves all as it is."""

    name = "nothing"

    def suggest(self, lab, database, cases, folder=None, budget=None):
        """Nothing."""
        return Suggestion([])


class Person(Contestant):
    """Creates what the cases say is right."""

    name = "person"

    def suggest(self, lab, database, cases, folder=None, budget=None):
        """The indexes of all cases, each once, and none whose keys another one begins with."""
        wanted = list(dict.fromkeys(sql for case in cases for sql in case.indexes))
        return Suggestion([sql for sql in wanted if not any(begins(other, sql) for other in wanted)])


def begins(other, sql):
    """Whether an index of plain columns has these first."""
    return other != sql and sql.endswith(")") and " USING " not in sql and other.startswith(sql[:-1] + ",") and ") " not in other


class Greedy(Contestant):
    """One index after another: always the one that lowers the summed planner cost most, for its bytes where they are limited."""

    name = "greedy"

    def suggest(self, lab, database, cases, folder=None, budget=None):
        """Indexes on one and on two columns."""
        with lab.connect(database) as connection:
            return _Costs(connection, cases).greedy(budget)


class AtOnce(Contestant):
    """As dexter goes about it, written anew."""

    name = "at-once"

    def suggest(self, lab, database, cases, folder=None, budget=None):
        """Indexes on one and on two columns."""
        with lab.connect(database) as connection:
            return _Costs(connection, cases).at_once()


class _Costs:
    """Planner costs with hypothetical indexes."""

    def __init__(self, connection, cases):
        self.connection = connection
        self.statements = [statement for case in cases for statement in case.statements if statement.sql.split()[0].upper() != "INSERT"]
        self.columns = _columns(connection)
        self.here = {}

    def greedy(self, budget):
        """Lazily: what an index was worth before is the most that it is worth now."""
        now = {statement.name: self._cost(statement) for statement in self.statements}
        first, total, taken, free = dict(now), sum(now.values()), [], budget
        queue = []
        for columns in self._candidates():
            gain, size, _ = self._gain(columns, now)
            heapq.heappush(queue, (-gain / (size if budget else 1), columns, size))
        for stale, columns, size in iter(lambda: heapq.heappop(queue) if queue else None, None):
            if -stale * (size if budget else 1) < WORTH * total:
                break
            gain, size, costs = self._gain(columns, now)
            worth = gain / (size if budget else 1)
            if queue and worth < -queue[0][0]:
                heapq.heappush(queue, (-worth, columns, size))
                continue
            if gain < WORTH * total or (free is not None and size > free):
                continue
            self._add(columns)
            free = None if free is None else free - size
            taken.append(columns)
            now |= costs
        predicted = {name: now[name] / first[name] for name in now if first[name] > 0}
        self.connection.execute("SELECT hypopg_reset()")
        return Suggestion([_create(*columns) for columns in taken], predicted=predicted)

    def _gain(self, columns, now):
        """What an index takes off all costs, its bytes, and the new costs."""
        oid = self._add(columns)
        if oid is None:
            return 0, 1, {}
        size = self.connection.execute("SELECT hypopg_relation_size(%s)", [oid]).fetchone()[0]
        concerned = [statement for statement in self.statements if columns[0] in self._tables(statement)]
        costs = {statement.name: self._cost(statement) for statement in concerned}
        self.connection.execute("SELECT hypopg_drop_index(%s)", [oid])
        helps = any(cost < now[name] * (1 - OF_ONE) for name, cost in costs.items())
        return sum(now[name] - cost for name, cost in costs.items()) if helps else 0, size, costs

    def at_once(self):
        """All on one column, then all on two."""
        first = {statement.name: self._explain(statement) for statement in self.statements}
        dear = [statement for statement in self.statements if first[statement.name]["Plan"]["Total Cost"] >= DEAR]
        names = {}
        singles = {(table, (column,)) for statement in dear for table in self._tables(statement) for column in self.here_of(statement, table)}
        for columns in sorted(singles):
            self._add(columns, names)
        second = {statement.name: self._explain(statement) for statement in dear}
        by_table = itertools.groupby(sorted(singles), key=lambda columns: columns[0])
        for table, columns in by_table:
            for pair in itertools.permutations([one[1][0] for one in columns], 2):
                self._add((table, pair), names)
        third = {statement.name: self._explain(statement) for statement in dear}
        found, predicted = {}, {}
        for statement in dear:
            costs = [plan[statement.name]["Plan"]["Total Cost"] for plan in (first, second, third)]
            chosen, cost = self._choose(statement, costs, (second, third), names)
            predicted[statement.name] = cost / costs[0] if costs[0] else 1
            found |= dict.fromkeys(chosen)
        self.connection.execute("SELECT hypopg_reset()")
        covered = {(table, columns[:1]) for table, columns in found if len(columns) > 1}
        return Suggestion([_create(*columns) for columns in found if columns not in covered], predicted=predicted)

    def _choose(self, statement, costs, plans, names):
        """What of the used ones is kept, and what the statement costs then."""
        with_two = costs[1] > DEAR and costs[2] < costs[1] * SAVED
        used = [_used(plan[statement.name], names) for plan in plans]
        chosen = used[1] if with_two and len(used[1]) == 1 else used[0]
        with_two = with_two and len(used[1]) == 1
        if not chosen or not (with_two or costs[1] < costs[0] * SAVED):
            return [], costs[0]
        if len(chosen) == 1:
            return chosen, costs[2] if with_two else costs[1]
        # Several: the best of them alone, where it is good enough.
        alone = []
        for columns in chosen:
            self.connection.execute("SELECT hypopg_reset()")
            self._add(columns)
            alone.append((self._explain(statement)["Plan"]["Total Cost"], columns))
        cost, best = min(alone)
        return ([best], cost) if cost < costs[0] * SAVED else ([], costs[0])

    def _candidates(self):
        found = set()
        for statement in self.statements:
            for table in self._tables(statement):
                columns = self.here_of(statement, table)
                found |= {(table, (one,)) for one in columns}
                found |= {(table, pair) for pair in itertools.permutations(columns, 2)}
        return sorted(found)

    def _tables(self, statement):
        return self._words(statement)[0]

    def here_of(self, statement, table):
        """Columns of a table that the statement names."""
        return [column for column in self.columns[table] if column in self._words(statement)[1]]

    def _words(self, statement):
        if statement.name not in self.here:
            words = {word.strip('"') for word in re.findall(KEYWORDS, re.sub(r"'[^']*'", "", statement.sql))}
            self.here[statement.name] = [table for table in self.columns if table in words], words
        return self.here[statement.name]

    def _add(self, columns, names=None):
        """A hypothetical index; its name leads back to its columns."""
        try:
            row = self.connection.execute("SELECT * FROM hypopg_create_index(%s)", [_create(*columns)]).fetchone()
        except Exception:  # a type without an order, or a partitioned table's
            return None
        if names is not None:
            names[row[1]] = columns
        return row[0]

    def _cost(self, statement):
        """A day's."""
        costs = [measure.plan(self.connection, statement, values)["Plan"]["Total Cost"] for values in statement.samples]
        return statement.calls * sum(costs) / len(costs)

    def _explain(self, statement):
        """Of the first values: those who read logs keep one statement of each kind."""
        return measure.plan(self.connection, statement, statement.samples[0])


def _used(plan, names):
    return list(dict.fromkeys(names[name] for name in measure.members(plan, "Index Name") if name in names))


def _columns(connection):
    """Columns of each table that could be in a b-tree, by name."""
    rows = connection.execute(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 "
        "AND NOT a.attisdropped AND t.typcategory <> 'A' ORDER BY 1, a.attnum"
    )
    found = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


def _create(table, columns):
    quoted = ", ".join(f'"{column}"' for column in columns)
    return f'CREATE INDEX ON "{table}" ({quoted})'


class Dexter(Contestant):
    """The gem pgdexter: given a file of statements with their values."""

    name = "dexter"

    def missing(self):
        """The gem, on machines that do not reach where gems are."""
        return "" if shutil.which("dexter") else "the gem pgdexter is not there and could not be fetched; `at-once` goes about it in the same way"

    def suggest(self, lab, database, cases, folder=None, budget=None):
        """What it prints as found."""
        path = folder / "statements.sql"
        path.write_text("".join(f"{literal};\n" for case in cases for one in case.statements for literal in literals(one)))
        words = ["dexter", lab.url(database), str(path), "--input-format", "sql"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        found = re.findall(r"Index found: (?:public\.)?(\S+) \(([^)]*)\)", done.stdout)
        note = "" if done.returncode == 0 else done.stderr.strip()[-300:]
        return Suggestion([_create(table, columns.split(", ")) for table, columns in found], note=note)


def literals(statement):
    """The statement as somebody without parameters sends it, with each sample's values."""
    for values in statement.samples:
        written = ["NULL" if value is None else "'" + value.replace("'", "''") + "'" for value in values]
        yield re.sub(r"\$(\d+)", lambda found: written[int(found[1]) - 1], " ".join(statement.sql.split()))


class Pgweir(Contestant):
    """`pgweir advise`, over what a pgweir in between saw of the workload."""

    name = "pgweir"
    feed = "store"

    def missing(self):
        """A build that has advice."""
        return pgweir_side.missing()

    def prepare(self, lab, database, cases, folder):
        """What advise is to read."""
        pgweir_side.prepare(lab, database, cases, folder, self.feed)

    def suggest(self, lab, database, cases, folder=None, budget=None):
        """What it writes as migrations, and the codes of what else it finds."""
        indexes, findings, left, note = pgweir_side.advise(lab, database, folder, budget, self.feed)
        # Of one statement alone it is that one's.
        predicted = {cases[0].statement.name: left} if left is not None and len(cases) == 1 and not cases[0].others else {}
        return Suggestion(indexes, findings, predicted, note=note)


class PgweirFile(Pgweir):
    """`pgweir advise` over a file that says what a day has, with exact numbers of calls: no statement goes through pgweir."""

    name = "pgweir-file"
    feed = "workload"


KNOWN = {kind.name: kind for kind in (Nothing, Person, Dexter, AtOnce, Greedy, Pgweir, PgweirFile)}


def ask(contestant, lab, database, cases, budget=None):
    """What it says, with what it took to say it."""
    with tempfile.TemporaryDirectory(prefix="pgweir-advice-") as folder:
        contestant.prepare(lab, database, cases, pathlib.Path(folder))
        return _asked(contestant, lab, database, cases, pathlib.Path(folder), budget)


def _asked(contestant, lab, database, cases, folder, budget):
    with lab.connect(database) as connection:
        connection.execute("SELECT pg_stat_statements_reset()")
        server, own, begin = lab.cpu(), _own_cpu(), time.monotonic()
        said = contestant.suggest(lab, database, cases, folder, budget)
        said.seconds = time.monotonic() - begin
        # Sessions that have just ended are counted when the server has seen it.
        time.sleep(0.05)
        said.cpu = lab.cpu() - server + _own_cpu() - own
        asked = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query ILIKE 'EXPLAIN%'"
        said.explains = int(connection.execute(asked).fetchone()[0])
    return said


def _own_cpu():
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def program():
    """The pgweir to ask."""
    folder = os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parents[2] / "target")
    return os.environ.get("PGWEIR_BENCH_PROGRAM", str(pathlib.Path(folder) / "release/pgweir"))
