// Reads with node-postgres that a cache may answer. Prints what they are; with PGWEIR_TEST_METRICS, each kind must come to hits.
'use strict';

const assert = require('node:assert');
const { Client } = require('pg');

const METRICS = process.env.PGWEIR_TEST_METRICS;

async function hits() {
  const page = await (await fetch(METRICS)).text();
  return Number(page.split('\n').find((line) => line.startsWith('pgweir_cache_hits_total ')).split(' ')[1]);
}

async function kept(name, ask) {
  const first = await ask();
  console.log(name, JSON.stringify(first));
  if (!METRICS) return;
  const before = await hits();
  for (let i = 0; i < 300; i++) {
    assert.deepStrictEqual(await ask(), first, name);
    await new Promise((done) => setTimeout(done, 10));
    if ((await hits()) >= before + 5) return;
  }
  throw new Error(`${name}: ${(await hits()) - before} hits`);
}

async function main() {
  const client = new Client({ connectionTimeoutMillis: 20000 });
  await client.connect();
  const text = 'select * from kept where i = $1 or i = 9 order by i';
  const rows = async (query) => (await client.query(query)).rows;
  await kept('simple', () => rows('select * from kept where i = 7'));
  await kept('unprepared', () => rows({ text: `${text} -- 1`, values: [1] }));
  await kept('prepared', () => rows({ name: 'by-number', text: `${text} -- 2`, values: [2] }));
  await kept('binary', () => rows({ text: 'select i, s from kept where i = $1', values: [8], binary: true }));
  await client.end();
}

main().then(
  () => console.log('all passed'),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
