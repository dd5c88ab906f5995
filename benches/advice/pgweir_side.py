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

# So many statements are sent in all; where a day has more, all have fewer, but none fewer than one of each sample.
STATEMENTS = 4000
# The longest that a run of advise may take.
PATIENCE = 300


class Missing(Exception):
    """The program has no advice to give."""


def advise(lab, database, cases, budget):
    """Indexes as SQL, codes of other findings, predictions, and a note on what went wrong."""
    program = contestants.program()
    if not pathlib.Path(program).exists():
        return [], [], {}, f"{program} is not built"
    if subprocess.run([program, "advise", "--help"], capture_output=True, check=False).returncode != 0:
        return [], [], {}, "this pgweir has no `advise`"
    with tempfile.TemporaryDirectory(prefix="pgweir-advice-") as folder:
        store = pathlib.Path(folder) / "store"
        _replay(program, lab, database, cases, store)
        return _asked(program, lab, database, store, pathlib.Path(folder) / "advice", budget)


def _replay(program, lab, database, cases, store):
    port = labs.free_port()
    words = [program, "run", "--listen", f"127.0.0.1:{port}", "--http", "off", "--store", str(store), lab.url(database)]
    log = open(store.with_suffix(".log"), "w+", encoding="utf-8")
    proxy = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
    try:
        connection = _connected(f"postgres://bench@127.0.0.1:{port}/{database}", proxy, log)
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
    for _ in range(200):
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            if proxy.poll() is not None:
                log.seek(0)
                raise SystemExit(f"bench-advice: pgweir does not start: {log.read()}") from None
            time.sleep(0.05)
    raise SystemExit("bench-advice: pgweir does not answer")


def _in_turn(cases):
    """Statements with values, mixed as they would come, in the same order each time for the same cases."""
    statements = [statement for case in cases for statement in case.statements]
    scale = min(1, STATEMENTS / sum(statement.calls for statement in statements))
    turns = []
    for place, statement in enumerate(statements):
        times = max(1, round(statement.calls * scale / len(statement.samples)))
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
    words = [program, "advise", "--store", str(store), "--write", str(folder)]
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
    """Codes of findings that are named in what is printed, or in its JSON."""
    try:
        return sorted({fix["code"] for fix in json.loads(text)["fixes"]})
    except (ValueError, KeyError, TypeError):
        return sorted(set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b|\banalyze\b|\bvacuum\b", text)))
