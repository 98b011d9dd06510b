// Stands for psql: answers as it does, in the form that its options ask for. What the database is like is FAKE_DATABASE:
// {amcheck, relations: [[oid, kind, name, valid, method]], checksums, results: {oid: rows or [sqlstate, message]}, stopAt}

import { readFileSync, writeSync } from 'node:fs';

const {
  amcheck,
  relations = [],
  checksums = 0,
  results = {},
  stopAt,
} = JSON.parse(process.env.FAKE_DATABASE);
const args = process.argv.slice(2);
const { PGHOST = '', PGPORT, PGDATABASE, PGUSER = '', PGOPTIONS, PGCONNECT_TIMEOUT } = process.env;
const say = (text) => writeSync(1, text);

if (PGDATABASE === 'none') {
  writeSync(2, 'psql: error: connection to server failed: FATAL:  database "none" does not exist\n');
  process.exit(2);
}
if (!args.includes('--no-password')) throw new Error('would ask for a password');
if (!PGOPTIONS?.includes('default_transaction_read_only=on')) throw new Error('would write');
if (PGCONNECT_TIMEOUT === undefined) throw new Error('would wait for ever');

const valueAfter = (name) => args[args.indexOf(name) + 1];
if (args.includes('--command')) {
  const sql = valueAfter('--command');
  if (sql.includes('pg_extension')) say(amcheck === undefined ? '' : `public|${amcheck}\n`);
  else if (sql.includes('checksum_failures')) say(`${checksums}\n`);
  else say(relations.map((row) => `${row.join('|')}\n`).join(''));
  process.exit(0);
}
let failed;
for (const line of readFileSync(valueAfter('--file'), 'utf8').split('\n')) {
  const oid = /\((\d+)::regclass/.exec(line)?.[1];
  if (oid !== undefined) {
    if (oid === stopAt) process.exit(0);
    const result = results[oid] ?? '';
    failed = typeof result === 'string' ? undefined : result;
    if (typeof result === 'string') say(result);
  } else if (line.startsWith("\\echo '")) {
    const [, marked, more] = /^\\echo '([^']*)'(.*)$/.exec(line);
    if (more === '') say(`${marked}\n`);
    else if (failed !== undefined) say(`${marked} ${failed.join(' ')}\n`);
  }
}
if (process.env.FAKE_TELL) writeSync(2, `${PGHOST}:${PGPORT}/${PGDATABASE} as ${PGUSER}\n`);
