// What applications do with node-postgres. Connection by the PG* variables; prints `all passed` at the end.
'use strict';

const assert = require('node:assert');
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');

const CLIENTS = Number(process.env.PGWEIR_TEST_CLIENTS);

async function connected() {
  const client = new Client({ connectionTimeoutMillis: 20000 });
  await client.connect();
  return client;
}

async function fails(promise, code) {
  await assert.rejects(promise, (error) => {
    assert.strictEqual(error.code, code);
    return true;
  });
}

const cases = {
  async parameters() {
    const client = await connected();
    const { rows } = await client.query('select $1::int as a, $2::text as b, $3::int[] as c, $4::date as d', [1, "x'y", [1, 2], null]);
    assert.deepStrictEqual(rows, [{ a: 1, b: "x'y", c: [1, 2], d: null }]);
    const results = await client.query('select 1 as one; select 2 as two; select 3 as three where false');
    assert.deepStrictEqual(results.map((r) => r.rows), [[{ one: 1 }], [{ two: 2 }], []]);
    await client.end();
  },

  async poolOfManyClients() {
    const pool = new Pool({ max: CLIENTS });
    const work = async (n) => {
      for (let i = 0; i < 30; i++) {
        const { rows } = await pool.query({ name: 'sum', text: 'select $1::int + $2::int as sum', values: [n, i] });
        assert.strictEqual(rows[0].sum, n + i);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS * 2 }, (_, n) => work(n)));
    await pool.end();
  },

  async sameNameOtherText() {
    const [a, b] = [await connected(), await connected()];
    const run = async (client, text) => (await client.query({ name: 'name', text, values: [1] })).rows[0].x;
    for (let i = 0; i < 5; i++) {
      assert.strictEqual(await run(a, "select 'a' as x, $1::int"), 'a');
      assert.strictEqual(await run(b, "select 'b' as x, $1::text"), 'b');
    }
    await a.end();
    await b.end();
  },

  async transactions() {
    const client = await connected();
    await client.query('create table tx (i int)');
    await client.query('begin');
    await client.query('insert into tx values ($1)', [1]);
    await client.query('rollback');
    await client.query('begin');
    await client.query('insert into tx values ($1)', [2]);
    await client.query('savepoint s');
    await fails(client.query('select 1/0'), '22012');
    await fails(client.query('select 1'), '25P02');
    await client.query('rollback to s');
    await client.query('commit');
    assert.deepStrictEqual((await client.query('select i from tx')).rows, [{ i: 2 }]);
    await client.end();
  },

  async queuedQueries() {
    const client = await connected();
    const results = await Promise.all(Array.from({ length: 100 }, (_, i) => client.query('select $1::int as i', [i])));
    assert.deepStrictEqual(results.map((r) => r.rows[0].i), Array.from({ length: 100 }, (_, i) => i));
    await client.end();
  },

  async errors() {
    const client = await connected();
    await client.query('create table e (i int primary key)');
    await client.query('insert into e values (1)');
    await fails(client.query('insert into e values ($1)', [1]), '23505');
    await fails(client.query('selec'), '42601');
    await fails(client.query('selec $1', [1]), '42601');
    await fails(client.query({ name: 'bad', text: 'select * from no_such_table where i = $1', values: [1] }), '42P01');
    await fails(client.query('select $1::int', ['x']), '22P02');
    assert.strictEqual((await client.query('select 1 as one')).rows[0].one, 1);
    await client.end();
  },

  async notifications() {
    const [listener, sender] = [await connected(), await connected()];
    const heard = [];
    const all = new Promise((resolve) => {
      listener.on('notification', (n) => heard.push(n.payload) === 5 && resolve());
    });
    await listener.query('listen "Node Channel"');
    for (let i = 0; i < 5; i++) await sender.query("select pg_notify('Node Channel', $1)", [String(i)]);
    await all;
    assert.deepStrictEqual(heard, ['0', '1', '2', '3', '4']);
    await listener.end();
    await sender.end();
  },

  async notices() {
    const client = await connected();
    const heard = [];
    client.on('notice', (notice) => heard.push(notice.message));
    await client.query("do $$ begin raise notice 'noted'; end $$");
    assert.deepStrictEqual(heard, ['noted']);
    await client.end();
  },

  async cancel() {
    const client = await connected();
    const { Query } = require('pg');
    const query = new Query('select pg_sleep(60)');
    const ended = new Promise((resolve) => query.once('error', resolve));
    client.query(query);
    setTimeout(() => new Client().cancel(client, query), 300);
    assert.strictEqual((await ended).code, '57014');
    assert.strictEqual((await client.query('select 1 as one')).rows[0].one, 1);
    await client.end();
  },

  async cursors() {
    const client = await connected();
    await client.query('begin');
    const cursor = client.query(new Cursor('select generate_series(1, $1::int) as i', [25]));
    const sizes = [];
    for (let rows = await cursor.read(10); rows.length > 0; rows = await cursor.read(10)) sizes.push(rows.length);
    assert.deepStrictEqual(sizes, [10, 10, 5]);
    await cursor.close();
    const second = client.query(new Cursor('select generate_series(1, 25) as i'));
    assert.strictEqual((await second.read(3)).length, 3);
    await second.close();
    await client.query('commit');
    const outside = client.query(new Cursor('select generate_series(1, 25) as i'));
    assert.strictEqual((await outside.read(20)).length, 20);
    assert.strictEqual((await outside.read(20)).length, 5);
    await outside.close();
    await client.end();
  },

  async settingsStayWithTheirSession() {
    const work = async (n) => {
      const client = await connected();
      await client.query(`set timezone = 'Etc/GMT+${n % 12}'`);
      for (let i = 0; i < 20; i++) {
        assert.strictEqual((await client.query('show timezone')).rows[0].TimeZone, `Etc/GMT+${n % 12}`);
      }
      await client.end();
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, n) => work(n)));
  },
};

(async () => {
  for (const [name, run] of Object.entries(cases)) {
    await run();
    console.log('passed:', name);
  }
  console.log('all passed');
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
