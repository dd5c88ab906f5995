"""What applications do with asyncpg. Connection by the PG* variables; prints `all passed` at the end."""

import asyncio
import os

import asyncpg

CLIENTS = int(os.environ["PGWEIR_TEST_CLIENTS"])
CASES = []


def case(function):
    CASES.append(function)
    return function


async def connect(**kwargs):
    return await asyncpg.connect(timeout=20, ssl=False, **kwargs)


@case
async def parameters():
    conn = await connect()
    row = await conn.fetchrow("select $1::int as a, $2::text as b, $3::int[] as c, $4::timestamptz as d", 1, "x'y", [1, 2], None)
    assert tuple(row) == (1, "x'y", [1, 2], None), row
    assert await conn.fetchval("select 40 + $1::int", 2) == 42
    assert await conn.execute("create table p (i int, j jsonb)") == "CREATE TABLE"
    await conn.executemany("insert into p values ($1, $2)", [(i, f'{{"n": {i}}}') for i in range(100)])
    assert await conn.fetchval("select sum((j->>'n')::int) from p") == 4950
    await conn.close()


@case
async def pool_of_many_clients():
    async with asyncpg.create_pool(min_size=CLIENTS, max_size=CLIENTS, ssl=False) as pool:

        async def work(n):
            for i in range(30):
                async with pool.acquire() as conn:
                    assert await conn.fetchval("select $1::int + $2::int", n, i) == n + i
                    assert await conn.fetchval(f"select {n}::int + $1::int", i) == n + i

        await asyncio.gather(*(work(n) for n in range(CLIENTS * 2)))


@case
async def prepared_statements():
    conns = [await connect() for _ in range(CLIENTS)]
    statements = [await conn.prepare("select $1::int * 2 as twice") for conn in conns]
    for round in range(10):
        results = await asyncio.gather(*(s.fetchval(n) for n, s in enumerate(statements)))
        assert results == [n * 2 for n in range(CLIENTS)]
    assert statements[0].get_attributes()[0].name == "twice"
    assert statements[0].get_parameters()[0].name == "int4"
    for conn in conns:
        await conn.close()


@case
async def small_statement_cache():
    conn = await connect(statement_cache_size=3)
    for i in range(20):
        assert await conn.fetchval(f"select {i} + $1::int", 1) == i + 1
    await conn.close()
    conn = await connect(statement_cache_size=0)
    for i in range(20):
        assert await conn.fetchval("select $1::int", i) == i
    await conn.close()


@case
async def transactions():
    conn = await connect()
    await conn.execute("create table tx (i int)")
    async with conn.transaction():
        await conn.execute("insert into tx values (1)")
        try:
            async with conn.transaction():
                await conn.execute("insert into tx values ($1)", 2)
                raise RuntimeError
        except RuntimeError:
            pass
    try:
        async with conn.transaction(isolation="serializable"):
            await conn.execute("insert into tx values (3)")
            await conn.fetchval("select 1/0")
    except asyncpg.DivisionByZeroError:
        pass
    assert [r["i"] for r in await conn.fetch("select i from tx")] == [1]
    await conn.close()


@case
async def errors():
    conn = await connect()
    await conn.execute("create table e (i int primary key)")
    await conn.execute("insert into e values (1)")
    for statement, error in [
        ("insert into e values (1)", asyncpg.UniqueViolationError),
        ("selec", asyncpg.PostgresSyntaxError),
        ("select * from no_such_table", asyncpg.UndefinedTableError),
    ]:
        for run in (conn.execute, conn.fetch):
            try:
                await run(statement)
                raise AssertionError(statement)
            except error as e:
                assert e.sqlstate
    assert await conn.fetchval("select 1") == 1
    await conn.close()


@case
async def changed_tables():
    conn, other = await connect(), await connect()
    await conn.execute("create table changed (i int)")
    await conn.execute("insert into changed values (1)")
    assert tuple(await conn.fetchrow("select * from changed")) == (1,)
    await other.execute("alter table changed add column j int default 2")
    # asyncpg prepares again by itself outside a transaction.
    assert tuple(await conn.fetchrow("select * from changed")) == (1, 2)
    # Also while another holds the server on which it was prepared.
    await conn.execute("alter table changed add column k int default 3")
    async with other.transaction():
        await other.fetchval("select 1")
        assert tuple(await conn.fetchrow("select * from changed")) == (1, 2, 3)
    await conn.close()
    await other.close()


@case
async def copy():
    conn = await connect()
    await conn.execute("create table c (i int, s text)")
    said = await conn.copy_records_to_table("c", records=[(i, f"row {i}") for i in range(5000)])
    assert said == "COPY 5000", said
    received = bytearray()

    async def sink(data):
        received.extend(data)

    assert await conn.copy_from_query("select i from c where i < $1 order by i", 3, output=sink) == "COPY 3"
    assert bytes(received) == b"0\n1\n2\n"
    try:
        await conn.copy_records_to_table("c", records=[("x", "y")])
        raise AssertionError("a bad record")
    except TypeError:
        pass
    assert await conn.fetchval("select count(*) from c") == 5000
    await conn.close()


@case
async def notifications():
    listener, sender = await connect(), await connect()
    heard = asyncio.Queue()
    await listener.add_listener("Async Channel", lambda *args: heard.put_nowait(args[3]))
    for i in range(5):
        await sender.execute("select pg_notify('Async Channel', $1)", str(i))
    assert [await asyncio.wait_for(heard.get(), 10) for _ in range(5)] == ["0", "1", "2", "3", "4"]
    assert await listener.fetchval("select 1") == 1
    await listener.close()
    await sender.close()


@case
async def cancel():
    conn = await connect()
    try:
        await conn.fetchval("select pg_sleep(60)", timeout=0.3)
        raise AssertionError("it was to be cancelled")
    except asyncio.TimeoutError:
        pass
    assert await conn.fetchval("select 1") == 1
    try:
        await asyncio.wait_for(conn.execute("select pg_sleep(60)"), 0.3)
        raise AssertionError("it was to be cancelled")
    except asyncio.TimeoutError:
        pass
    assert await conn.fetchval("select 2") == 2
    await conn.close()


@case
async def cursors():
    conn = await connect()
    async with conn.transaction():
        total = 0
        async for row in conn.cursor("select generate_series(1, $1::int) as i", 105, prefetch=10):
            total += row["i"]
        assert total == 105 * 106 // 2
        cursor = await conn.cursor("select generate_series(1, 30)")
        assert len(await cursor.fetch(10)) == 10
        await cursor.forward(5)
        assert (await cursor.fetchrow())[0] == 16
    await conn.close()


@case
async def settings_stay_with_their_session():
    async def work(n):
        conn = await connect(server_settings={"application_name": f"client {n}", "work_mem": f"{64 + n}kB"})
        await conn.execute(f"set timezone = 'Etc/GMT+{n % 12}'")
        for _ in range(20):
            row = await conn.fetchrow("select current_setting('application_name'), current_setting('work_mem'), current_setting('timezone')")
            assert tuple(row) == (f"client {n}", f"{64 + n}kB", f"Etc/GMT+{n % 12}"), row
        await conn.reset()
        assert await conn.fetchval("show work_mem") == f"{64 + n}kB"
        assert await conn.fetchval("show timezone") == "UTC"
        await conn.close()

    await asyncio.gather(*(work(n) for n in range(CLIENTS)))


async def main():
    for function in CASES:
        await asyncio.wait_for(function(), 60)
        print("passed:", function.__name__)
    print("all passed")


asyncio.run(main())
