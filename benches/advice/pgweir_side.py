"""pgweir as a contestant: the workload goes through it, and `pgweir advise` is asked what its store says."""

import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import psycopg

import contestants
import lab as labs
import measure

# So many statements are sent in all; where a day has more, all have fewer, but none fewer than one of each sample. A statement that is alone is sent
# as often as it takes to be noticed.
STATEMENTS, ALONE = 4000, 20
# What findings are called (docs/guide/findings.md).
CODES = """rewrite_sargable implicit_cast rewrite_union rewrite_not_exists deep_offset order_by_random over_fetch count_everything analyze
extended_statistics vacuum missing_partition_key foreign_key n_plus_one chatty_transaction idle_in_transaction lock_wait pool_starved slow_client
generic_plan plan_regression cache replica drop_index duplicate_index redundant_index unused_index invalid_index""".split()
# The longest that a run of advise may take.
PATIENCE = 300


class Missing(Exception):
    """The program has no advice to give."""


def advise(lab, database, cases, budget):
    """Indexes as SQL, codes of other findings, predictions, and a note on what went wrong."""
    program = contestants.program()
    if not pathlib.Path(program).exists():
        return [], [], {}, f"{program} is not built"
    known = subprocess.run([program, "advise", "--help"], capture_output=True, text=True, check=False)
    if known.returncode != 0:
        return [], [], {}, "this pgweir has no `advise`"
    with tempfile.TemporaryDirectory(prefix="pgweir-advice-") as folder:
        store = pathlib.Path(folder) / "store"
        _replay(program, lab, database, cases, store)
        form = ["--format", "json"] if "--format" in known.stdout else []
        return _asked([program, "advise", *form], lab, database, store, pathlib.Path(folder) / "advice", budget)


def _replay(program, lab, database, cases, store):
    port = labs.free_port()
    words = [program, "run", "--listen", f"127.0.0.1:{port}", "--http", "off", "--store", str(store), lab.url(database)]
    log = open(store.with_suffix(".log"), "w+", encoding="utf-8")
    proxy = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
    try:
        connection = _connected(f"postgres://bench:bench@127.0.0.1:{port}/{database}", proxy, log)
        for statement, values in _in_turn(cases):
            _send(connection, statement, values)
        connection.close()
        # What was counted last is written within seconds.
        time.sleep(1.5)
    finally:
        proxy.send_signal(signal.SIGTERM)
        proxy.wait(timeout=60)
        log.close()


def _connected(url, proxy, log):
    said = None
    for _ in range(200):
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError as error:
            said = error
            if proxy.poll() is not None:
                log.seek(0)
                raise SystemExit(f"bench-advice: pgweir does not start: {log.read()}") from None
            time.sleep(0.05)
    raise SystemExit(f"bench-advice: pgweir does not answer: {said}")


def _in_turn(cases):
    """Statements with values, mixed as they would come, in the same order each time for the same cases."""
    statements = [statement for case in cases for statement in case.statements]
    many = STATEMENTS if len(statements) > 1 else ALONE
    scale = min(1, many / sum(statement.calls for statement in statements))
    turns = []
    for place, statement in enumerate(statements):
        times = max(1, round(statement.calls * scale / len(statement.samples) / statement.loop))
        for turn in range(times):
            turns += [(turn / times, place, statement, values) for values in statement.samples]
    turns.sort(key=lambda turn: turn[:2])
    return [turn[2:] for turn in turns]


def _send(connection, statement, values):
    """As drivers send it; what it changes is taken back."""
    if not statement.writes and statement.loop == 1:
        measure.run(connection, statement.sql, values, statement.types)
        return
    measure.run(connection, "BEGIN")
    for _ in range(statement.loop):
        measure.run(connection, statement.sql, values, statement.types)
    measure.run(connection, "ROLLBACK" if statement.writes else "COMMIT")


def _asked(program, lab, database, store, folder, budget):
    words = [*program, "--store", str(store), "--write", str(folder)]
    words += ["--budget", f"{budget // 2**20}MB"] if budget else []
    done = subprocess.run([*words, lab.url(database)], capture_output=True, text=True, timeout=PATIENCE, check=False)
    note = "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-300:]
    indexes = [sql for path in sorted(folder.rglob("*.sql")) for sql in _creates(path)]
    return indexes, _codes(done.stdout), {}, note


def _creates(path):
    """The statements of a migration that make indexes; its undo is another file."""
    if "undo" in path.name or "down" in path.name:
        return []
    text = re.sub(r"--[^\n]*", "", path.read_text())
    found = [" ".join(sql.split()) for sql in text.split(";")]
    return [sql for sql in found if re.match(r"(CREATE (UNIQUE )?INDEX|CREATE EXTENSION|ALTER INDEX \S+ ATTACH)", sql, re.IGNORECASE)]


def _codes(text):
    """Codes of findings in the JSON, or, where there is none, at the edges of what is printed."""
    try:
        return sorted({fix["code"] for fix in json.loads(text)["fixes"]})
    except (ValueError, KeyError, TypeError):
        return sorted(code for code in CODES if re.search(rf"(?m)(^|\s|\[|\(){code}($|\s|\]|\)|:)", text))
