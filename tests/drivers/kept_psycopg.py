"""Reads with psycopg 3 that a cache may answer. Prints what they are; with PGWEIR_TEST_METRICS, each kind must come to hits."""

import os
import time
import urllib.request

import psycopg

METRICS = os.environ.get("PGWEIR_TEST_METRICS")


def hits():
    page = urllib.request.urlopen(METRICS).read().decode()
    return int(next(line for line in page.splitlines() if line.startswith("pgweir_cache_hits_total ")).split()[1])


def kept(name, ask):
    first = ask()
    print(name, first)
    if not METRICS:
        return
    before = hits()
    for _ in range(300):
        assert ask() == first, name
        time.sleep(0.01)
        if hits() >= before + 5:
            return
    raise AssertionError(f"{name}: {hits() - before} hits")


with psycopg.connect("", connect_timeout=20, autocommit=True) as conn:
    text = "select * from kept where i = %s or i = 9 order by i"

    def ask(number, prepare, **how):
        return lambda: conn.cursor(**how).execute(f"{text} -- {number}", (number,), prepare=prepare).fetchall()

    kept("unprepared", ask(1, False))
    kept("prepared", ask(2, True))
    kept("binary", ask(3, False, binary=True))
    kept("binary, prepared", ask(4, True, binary=True))
    kept("of the client", lambda: psycopg.ClientCursor(conn).execute(text, (5,)).fetchall())
    kept("without parameters", lambda: conn.execute("select count(*), max(at) from kept").fetchall())
    kept("NULL", lambda: conn.execute("select s, i from kept where i = %s", (8,)).fetchall())
print("all passed")
