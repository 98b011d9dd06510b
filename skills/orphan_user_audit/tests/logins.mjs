// Writes records of logins as login programs do: logins.mjs ROOT '{"lastlog": {"1000": 5}, "wtmp": [["ann", 5]], …}', with
// days since each; with "wide" in the form of arm64.

import { mkdirSync, openSync, closeSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const [root = '', text = '{}'] = process.argv.slice(2);
const { lastlog, wtmp, lastlog2, wide = false } = JSON.parse(text);
const secondsAgo = (days) => Math.floor(Date.now() / 1000 - days * 86_400);
const log = join(root, 'var/log');
mkdirSync(log, { recursive: true });

/** Sparse, as it is: only users who logged in have bytes on the disk. */
if (lastlog !== undefined) {
  const size = wide ? 296 : 292;
  const file = openSync(join(log, 'lastlog'), 'w');
  for (const [uid, days] of Object.entries(lastlog)) {
    const record = Buffer.alloc(size);
    if (wide) record.writeBigInt64LE(BigInt(secondsAgo(days)));
    else record.writeInt32LE(secondsAgo(days));
    record.write('pts/0', wide ? 8 : 4);
    writeSync(file, record, 0, size, Number(uid) * size);
  }
  closeSync(file);
}
if (wtmp !== undefined) {
  const size = wide ? 400 : 384;
  const records = wtmp.map(([name, days]) => {
    const record = Buffer.alloc(size);
    record.writeInt16LE(name === 'reboot' ? 2 : 7);
    record.write('pts/0', 8);
    record.write(name, 44);
    if (wide) record.writeBigInt64LE(BigInt(secondsAgo(days)), 344);
    else record.writeInt32LE(secondsAgo(days), 340);
    return record;
  });
  writeFileSync(join(log, 'wtmp'), Buffer.concat(records));
}
if (lastlog2 !== undefined) {
  mkdirSync(join(root, 'var/lib/lastlog'), { recursive: true });
  const database = new DatabaseSync(join(root, 'var/lib/lastlog/lastlog2.db'));
  database.exec(
    'create table Lastlog2 (Name text primary key, Time integer, TTY text, RemoteHost text, PAM_Service text) strict',
  );
  const insert = database.prepare(`insert into Lastlog2 values (?, ?, 'pts/0', '192.0.2.1', 'sshd')`);
  for (const [name, days] of Object.entries(lastlog2)) insert.run(name, secondsAgo(days));
  database.close();
}
// The day of /etc/shadow that was five days ago.
process.stdout.write(`${JSON.stringify({ day: Math.floor(Date.now() / 86_400_000) - 5 })}\n`);
