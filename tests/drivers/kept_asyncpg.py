"""Reads with asyncpg that a cache may answer. Prints what they are; with PGWEIR_TEST_METRICS, each kind must come to hits."""

import asyncio
import os
import urllib.request

import asyncpg

METRICS = os.environ.get("PGWEIR_TEST_METRICS")


def hits():
    page = urllib.request.urlopen(METRICS).read().decode()
    return int(next(line for line in page.splitlines() if line.startswith("pgweir_cache_hits_total ")).split()[1])


async def kept(name, ask):
    first = await ask()
    print(name, first)
    if not METRICS:
        return
    before = hits()
    for _ in range(300):
        assert await ask() == first, name
        await asyncio.sleep(0.01)
        if hits() >= before + 5:
            return
    raise AssertionError(f"{name}: {hits() - before} hits")


async def main():
    text = "select * from kept where i = $1 or i = 9 order by i"
    conn = await asyncpg.connect(timeout=20, ssl=False)
    await kept("remembered", lambda: conn.fetch(text, 7))
    statement = await conn.prepare(f"{text} -- prepared")
    await kept("prepared", lambda: statement.fetch(7))
    await kept("without parameters", lambda: conn.fetch("select count(*), max(at) from kept"))
    await kept("NULL", lambda: conn.fetch("select s, i from kept where i = $1", 8))
    await conn.close()


asyncio.run(main())
print("all passed")
