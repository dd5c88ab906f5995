"""pgweir as a contestant: the workload goes through it, and `pgweir advise` is asked what its store says."""

import dataclasses
import json
import pathlib
import re
import signal
import subprocess
import time

import psycopg

import contestants
import lab as labs
import measure

# So many statements are sent in all; where a day has more, all have fewer, but none fewer than one of each sample. A statement that is alone is sent
# as often as it takes to be noticed.
STATEMENTS, ALONE = 4000, 20
# The longest that a run of advise may take.
PATIENCE = 300
# What each statement did in each database as things are.
RUNS = {}


class Missing(Exception):
    """The program has no advice to give."""


def missing():
    """Why pgweir cannot be asked, if it cannot."""
    program = contestants.program()
    if not pathlib.Path(program).exists():
        return f"{program} is not built"
    has_advice = subprocess.run([program, "advise", "--help"], capture_output=True, check=False).returncode == 0
    return "" if has_advice else "this pgweir has no `advise`"


def prepare(lab, database, cases, folder, feed):
    """What advise is to read, in a folder: a `store` that a pgweir filled, or a file with a `workload`."""
    if feed == "store":
        _replay(contestants.program(), lab, database, cases, folder / feed)
    else:
        (folder / feed).write_text(json.dumps(_workload(lab, database, cases)))


def advise(lab, database, folder, budget, feed):
    """Indexes as SQL, codes of all findings, what is left of the workload's time by its own claim, and notes."""
    words = [contestants.program(), "advise", "--format", "json", f"--{feed}", folder / feed]
    words += ["--budget", f"{budget // 2**20}MB"] if budget else []
    done = subprocess.run([*map(str, words), lab.url(database)], capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        return [], [], None, done.stderr.strip()[-300:]
    said = json.loads(done.stdout)
    indexes = [sql for fix in said["fixes"] for sql in _creates(fix)]
    codes = sorted({fix["code"] for fix in said["fixes"]})
    return indexes, codes, _claimed(said, folder / feed) if feed == "workload" else None, "; ".join(said["notes"])


def _run(connection, statement, values):
    """Measured once: the same traffic in another order is the same traffic, with the same times."""
    key = (connection.info.dbname, statement.sql, tuple(values))
    if key not in RUNS:
        one = dataclasses.replace(statement, samples=[values])
        RUNS[key] = measure.measured(connection, one, 1)[0]
    return RUNS[key]


def _workload(lab, database, cases):
    """A day in a file, with each statement's time as it is now."""
    statements = [statement for case in cases for statement in case.statements]
    with lab.connect(database) as connection:
        return {"seconds": 86400, "statements": [_statement(connection, statement) for statement in statements]}


def _statement(connection, statement):
    runs = [_run(connection, statement, values) for values in statement.samples]
    samples = [
        {"values": values, "types": statement.types, "milliseconds": run.ms}
        for values, run in zip(statement.samples, runs, strict=True)
    ]
    calls = int(statement.calls)
    each = calls / len(runs)
    return {
        "text": statement.sql,
        "calls": calls,
        "milliseconds": each * sum(run.ms for run in runs),
        "rows": int(each * sum(run.rows for run in runs)),
        "bytes": int(each * sum(run.bytes for run in runs)),
        "samples": samples,
    }


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


def _creates(fix):
    """What a fix makes, as one text: the parts of an index on a partitioned table belong together."""
    made = [" ".join(sql.split()) for sql in fix["action"].get("run", [])]
    made = [sql for sql in made if re.match(r"(CREATE (UNIQUE )?INDEX|CREATE EXTENSION|ALTER INDEX \S+ ATTACH)", sql, re.IGNORECASE)]
    return ["; ".join(made)] if any("INDEX" in sql.upper() for sql in made) else []


def _claimed(said, workload):
    """The part of a file's time that is left, as it says itself: indexes name the seconds a day that they save."""
    total = sum(statement["milliseconds"] for statement in json.loads(workload.read_text())["statements"]) / 1000
    saved = sum(fix["saves_s_per_day"] or 0 for fix in said["fixes"] if _creates(fix))
    return max(0.0, 1 - saved / total) if saved and total else None
