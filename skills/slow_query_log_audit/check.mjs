// Slow statements in the logs of databases. Statements hold data of people: only their shape is told.

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { shapeOf, slowEntries } from '#lib/slow-log.mjs';
import { CannotCheck, skill } from '#skill';

/** Where packages of PostgreSQL, MySQL and MariaDB put their logs: folder, and names within. */
const USUAL = [
  ['/var/log/postgresql', /\.(?:log|csv|json)$/],
  ['/var/lib/pgsql/data/log', /\.(?:log|csv|json)$/],
  ['/var/lib/postgres/data/log', /\.(?:log|csv|json)$/],
  ['/var/log/mysql', /slow.*\.log$/],
  ['/var/log/mariadb', /slow.*\.log$/],
  ['/var/lib/mysql', /slow.*\.log$/],
];
const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SHOWN = 20;

function timeOf(text) {
  if (text === undefined) return -Infinity;
  const [, amount, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  const atMs = unit === undefined ? Date.parse(text) : Date.now() - Number(amount) * UNIT_MS[unit];
  if (Number.isNaN(atMs))
    throw new CannotCheck('since', `${JSON.stringify(text)} is neither a time nor an age`);
  return atMs;
}

async function logsToRead(ctx) {
  const given = ctx.words('log');
  for (const log of given) {
    if ((await ctx.stat(log)) === undefined) throw new CannotCheck(log, 'is not there');
  }
  if (given.length > 0) return given;
  const found = [];
  for (const [folder, names] of USUAL) {
    const entries = (await ctx.list(folder)) ?? [];
    const files = entries.filter((entry) => !entry.isDirectory() && names.test(entry.name));
    found.push(...files.map(({ name }) => `${folder}/${name}`));
  }
  if (found.length === 0) ctx.skip('no log of PostgreSQL, MySQL or MariaDB in the usual places');
  return found;
}

function add(slow, log, shape, ms) {
  const key = `${log}\n${shape}`;
  const group = slow.get(key) ?? { shape, log, count: 0, maxMs: 0, totalMs: 0 };
  group.count += 1;
  group.maxMs = Math.max(group.maxMs, ms);
  group.totalMs += ms;
  slow.set(key, group);
}

/** Line by line, however long the log is. */
async function* entriesOf(ctx, log) {
  const stream = createReadStream(ctx.path(log));
  const isPacked = log.endsWith('.gz');
  const input = isPacked ? stream.pipe(createGunzip()) : stream;
  const format = /\.(csv|json)(?:\.gz)?$/.exec(log)?.[1] ?? 'text';
  try {
    if (isPacked) stream.on('error', (error) => input.destroy(error));
    yield* slowEntries(createInterface({ input, crlfDelay: Infinity }), format);
  } finally {
    stream.destroy();
  }
}

await skill({
  url: import.meta.url,
  help: {
    log: 'logs to read, separated by commas; otherwise those in the usual places',
    'threshold-ms': 'a statement that took this long is slow, milliseconds',
    since: 'look only at what is younger: a time (2026-10-01T00:00:00Z) or an age (90m, 24h, 7d)',
    max: 'so many slow statements are allowed',
  },
  async check(ctx) {
    const { 'threshold-ms': threshold, max } = ctx.args;
    const sinceMs = timeOf(ctx.args.since);
    const logs = await logsToRead(ctx);
    /** @type {Map<string, {shape: string, log: string, count: number, maxMs: number, totalMs: number}>} */
    const slow = new Map();
    let [entries, slowEntriesFound] = [0, 0];
    for (const log of logs) {
      try {
        for await (const { ms, atMs, statement } of entriesOf(ctx, log)) {
          entries += 1;
          // What has no time may be young.
          if (ms < threshold || (atMs !== undefined && atMs < sinceMs)) continue;
          slowEntriesFound += 1;
          add(slow, log, shapeOf(statement), ms);
        }
      } catch (error) {
        ctx.error(log, `cannot be read: ${error.code ?? error.message}`); // the others still can
      }
    }
    const worst = [...slow.values()].toSorted((a, b) => b.totalMs - a.totalMs).slice(0, SHOWN);
    for (const { shape, log, count, maxMs } of worst) {
      const finding = {
        where: log,
        message: `${count} × up to ${Math.round(maxMs)} ms: ${shape}`,
        severity: 'medium',
      };
      if (slowEntriesFound > max) ctx.fail('slow_statement', finding);
      else ctx.warn('slow_statement', finding);
    }
    ctx.metric('logs', logs.length);
    ctx.metric('entries', entries);
    ctx.metric('slow', slowEntriesFound);
    ctx.metric('shapes', slow.size);
    if (entries === 0 && ctx.report.outcome === 'pass') {
      ctx.warn('no_times', { where: logs.join(', '), message: 'no duration at all: is slow logging on?' });
    }
    if (slowEntriesFound <= max && ctx.report.outcome === 'pass') {
      ctx.ok(
        '',
        `${slowEntriesFound} of ${entries} logged statements took ${threshold} ms or more, ${max} allowed`,
      );
    }
  },
});
