//! `EXPLAIN ROUTE` by programs and drivers that know nothing of it. There is no such command directly, so these run through pgweir only.

use std::process::Command;

use super::{Target, environment, run, target};
use crate::harness::cluster::{APP, Cluster};
use crate::harness::direct_only;
use crate::harness::proxy::Proxy;

/// Runs a suite through pgweir.
fn through_pgweir(suite: impl Fn(&Target)) {
    if direct_only() {
        return;
    }
    let cluster = Cluster::shared();
    let database = cluster.database();
    database.setup("create table t (i int)");
    let proxy = Proxy::start(&cluster.url(APP, &database.name, "pool_size=2"));
    suite(&target(proxy.addr.port(), &database));
}

const PSQL: &str = r"
explain route select i from t where i = 7;
EXPLAIN ROUTE insert into t values (1) \gdesc
begin;
explain route
  select 'a;b'
  -- because
  ;
select 1 / 0;
explain route select 1;
rollback;
\set FETCH_COUNT 3
select count(*) from t;
";

#[test]
fn psql_asks_in_its_ways() {
    through_pgweir(|target| {
        let folder = crate::harness::command::Folder::new();
        let script = folder.0.join("script.sql");
        std::fs::write(&script, PSQL).expect("a file can be written");
        let text = run(target.program("psql").args(["-X", "-A", "-t", "-f"]).arg(&script));
        let told = |line: &str| assert!(text.lines().any(|one| one == line), "no `{line}` in\n{text}");
        told("shape|select i from t where i = $1|");
        told("item|text");
        told("reason|text");
        told("predicate|t.i equal 7, for every row|");
        told("plan|primary|in a transaction");
        told("plan|refused (25P02), until ROLLBACK|transaction failed");
        assert!(text.trim_end().ends_with("\n0"), "nothing was run\n{text}");
    });
}

const PSYCOPG: &str = r#"
import psycopg
from psycopg.rows import dict_row
with psycopg.connect("", connect_timeout=20, autocommit=True, prepare_threshold=0) as conn:
    def ask(sql, *values, **how):
        return {row["item"]: row for row in conn.cursor(row_factory=dict_row, **how).execute(sql, values).fetchall()}
    assert ask("explain route select i from t")["class"]["value"] == "select"
    for i in range(8):
        rows = ask("explain route select i from t where i = %s and i < %s", i, None, binary=i % 2 == 0)
        assert rows["plan"]["value"] == "primary", rows
        assert rows["predicate"]["value"].startswith("t.i range $2 (NULL)"), rows
    with conn.pipeline():
        cursors = [conn.execute("explain route select i from t where i = %s", (i,)) if i % 2 else conn.execute("select %s::int", (i,)) for i in range(20)]
        for i, cursor in enumerate(cursors):
            rows = cursor.fetchall()
            assert (rows[0][0] == "shape") if i % 2 else (rows == [(i,)]), rows
    with conn.transaction():
        conn.execute("insert into t values (1)")
        assert ask("explain route select i from t")["plan"]["reason"] == "in a transaction"
        cursor = conn.cursor()
        assert len(list(cursor.stream("explain route select i from t"))) > 8
    assert conn.execute("select count(*) from t").fetchone() == (1,)
    try:
        conn.execute("explain route")
        raise AssertionError("nothing to explain")
    except psycopg.errors.SyntaxError as error:
        assert error.diag.message_hint
with psycopg.connect("", connect_timeout=20) as conn:
    assert conn.execute("explain route select i from t").fetchone()[0] == "shape"
    assert conn.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
print("all passed")
"#;

#[test]
fn psycopg_asks_with_parameters_and_in_pipelines() {
    let python = environment::python();
    through_pgweir(|target| {
        let mut command = Command::new(&python);
        command.args(["-c", PSYCOPG]);
        target.environment(&mut command);
        assert_eq!(run(&mut command), "all passed\n");
    });
}

const ASYNCPG: &str = r#"
import asyncio, asyncpg
async def main():
    conn = await asyncpg.connect(timeout=20, ssl=False)
    rows = await conn.fetch("explain route select i from t where i = $1", "7")
    assert [dict(row) for row in rows if row["item"] == "plan"][0]["value"] == "primary", rows
    statement = await conn.prepare("explain route select i from t")
    assert [one.name for one in statement.get_attributes()] == ["item", "value", "reason"]
    for _ in range(5):
        assert (await statement.fetch())[0]["item"] == "shape"
    assert await conn.execute("explain route select 1") == "EXPLAIN"
    async with conn.transaction():
        assert len([row async for row in conn.cursor("explain route select i from t", prefetch=2)]) > 8
        assert await conn.fetchval("select 7") == 7
        rows = await conn.fetch("explain route select i from t")
        assert [row["reason"] for row in rows if row["item"] == "plan"] == ["in a transaction"]
    small = await asyncpg.connect(timeout=20, ssl=False, statement_cache_size=2)
    for i in range(10):
        assert (await small.fetch(f"explain route select {i}"))[0]["item"] == "shape"
        assert await small.fetchval(f"select {i}") == i
    await small.close()
    await conn.close()
    print("all passed")
asyncio.run(main())
"#;

#[test]
fn asyncpg_asks_by_statements_and_cursors() {
    let python = environment::python();
    through_pgweir(|target| {
        let mut command = Command::new(&python);
        command.args(["-c", ASYNCPG]);
        target.environment(&mut command);
        assert_eq!(run(&mut command), "all passed\n");
    });
}

const NODE: &str = r#"
const { Client } = require("pg");
const Cursor = require("pg-cursor");
const assert = require("assert");
(async () => {
  const client = new Client();
  await client.connect();
  const plan = (result) => result.rows.find((row) => row.item === "plan");
  let result = await client.query("explain route select i from t");
  assert.strictEqual(result.command, "EXPLAIN");
  assert.strictEqual(plan(result).value, "primary");
  for (let i = 0; i < 5; i++) {
    result = await client.query("explain route select i from t where i = $1", [i]);
    assert(result.rows.some((row) => row.value === `t.i equal $1 (${i}), for every row`));
    result = await client.query({ name: "why", text: "explain route select i from t where i = $1", values: [i] });
    assert.strictEqual(result.fields.map((field) => field.name).join(), "item,value,reason");
    assert.strictEqual((await client.query({ name: "what", text: "select $1::int as n", values: [i] })).rows[0].n, i);
  }
  await client.query("begin");
  await client.query("insert into t values (1)");
  assert.strictEqual(plan(await client.query("explain route select 1")).reason, "in a transaction");
  const cursor = client.query(new Cursor("explain route select i from t"));
  assert.strictEqual((await cursor.read(3)).length, 3);
  assert.ok((await cursor.read(100)).length > 3);
  await cursor.close();
  await client.query("rollback");
  await assert.rejects(client.query("explain route"), { code: "42601" });
  assert.strictEqual((await client.query("select count(*)::int as n from t")).rows[0].n, 0);
  await client.end();
  console.log("all passed");
})().catch((error) => { console.error(error); process.exit(1); });
"#;

#[test]
fn node_postgres_asks_by_names_and_cursors() {
    let modules = environment::node_modules();
    through_pgweir(|target| {
        let mut command = Command::new("node");
        command.args(["-e", NODE]).env("NODE_PATH", &modules);
        target.environment(&mut command);
        assert_eq!(run(&mut command), "all passed\n");
    });
}
