/**
 * Looks through the tables and indexes of a PostgreSQL database with its own amcheck, by psql. Every statement runs in a
 * read-only session, by itself, and takes no lock that keeps writers away.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CannotCheck } from '#skill';
import { firstLine } from './containers.mjs';

/** Begins what the script itself says between rows of answers. */
const MARK = '\u0001reeve';
/** Damage: index or data corrupted, internal error, a file that is missing, input and output. */
const DAMAGE = new Set(['XX000', 'XX001', 'XX002', '58P01', '58030']);
/** Dropped meanwhile. */
const GONE = new Set(['42P01', '42704']);

const RELATIONS = `select c.oid, c.relkind, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    coalesce(i.indisvalid, true), coalesce(a.amname, '')
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  left join pg_index i on i.indexrelid = c.oid left join pg_am a on a.oid = c.relam
  where c.relkind in ('r', 'm', 'i') and c.relpersistence <> 't' and n.nspname <> 'pg_toast'
  order by 3`;
const AMCHECK = `select quote_ident(n.nspname), split_part(extversion, '.', 1)::int * 100 + split_part(extversion, '.', 2)::int
  from pg_extension e join pg_namespace n on n.oid = extnamespace where extname = 'amcheck'`;
const CHECKSUMS = `select coalesce(sum(checksum_failures), 0) from pg_stat_database where datname = current_database()`;

/** The version of amcheck that can look into tables, not only into indexes. */
const AMCHECK_HEAP = 103;

/** @param {import('#skill').Context} ctx */
export async function checkPostgres(ctx) {
  if (ctx.tool('psql') === undefined) throw new CannotCheck('psql', 'is not installed');
  const where = `database ${ctx.args.db}`;
  const relations = (await query(ctx, RELATIONS)).map(([oid, kind, name, valid, method]) => {
    return { oid, name, isIndex: kind === 'i', isValid: valid === 't', method };
  });
  const [failures = '0'] = (await query(ctx, CHECKSUMS))[0] ?? [];
  ctx.metric('checksum_failures', Number(failures));
  if (Number(failures) > 0) {
    const message = `${failures} pages had a wrong checksum when they were read`;
    ctx.fail('checksum_failures', { where, message, severity: 'critical' });
  }
  const [schema, version = '0'] = (await query(ctx, AMCHECK))[0] ?? [];
  if (schema === undefined) {
    throw new CannotCheck(
      where,
      'the extension amcheck is not there; its owner can: create extension amcheck',
    );
  }
  const tables =
    Number(version) >= AMCHECK_HEAP
      ? relations.filter(({ isIndex, method }) => !isIndex && method === 'heap')
      : [];
  if (Number(version) < AMCHECK_HEAP) {
    ctx.warn('tables_not_checked', {
      where,
      message: 'this amcheck (before PostgreSQL 14) looks into indexes only',
    });
  }
  const invalid = relations.filter(({ isValid }) => !isValid);
  for (const { name } of invalid) {
    ctx.warn('invalid_index', { where: name, message: 'is marked as invalid: nothing uses it' });
  }
  const indexes = relations.filter(
    ({ isIndex, isValid, method }) => isIndex && isValid && method === 'btree',
  );
  const checks = [
    ...tables.map(({ oid, name }) => ({
      name,
      sql: `select blkno, msg from ${schema}.verify_heapam(${oid}::regclass, check_toast := true)`,
    })),
    ...indexes.map(({ oid, name }) => ({
      name,
      sql: `select ${schema}.bt_index_check(${oid}::regclass, ${ctx.args.thorough})`,
    })),
  ];
  await perform(ctx, checks);
  ctx.metric('tables', tables.length);
  ctx.metric('indexes', indexes.length);
  return { where, looked: `${tables.length} tables and ${indexes.length} indexes` };
}

/** All checks in one session. psql itself tells what became of each, so one that fails does not end the others. */
async function perform(ctx, checks) {
  const minutes = ctx.args['max-minutes'];
  const script = checks.map(
    ({ sql }, index) => `select extract(epoch from clock_timestamp()) > :until as late \\gset
\\if :late
\\quit
\\endif
\\echo '${MARK} begin ${index}'
${sql};
\\if :ERROR
\\echo '${MARK} error' :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE
\\endif
\\echo '${MARK} end ${index}'
`,
  );
  script.unshift(`select extract(epoch from clock_timestamp()) + ${minutes * 60} as until \\gset\n`);
  const dir = await mkdtemp(join(tmpdir(), 'jarvas-psql-'));
  try {
    const file = join(dir, 'check.sql');
    await writeFile(file, script.join(''), { mode: 0o600 });
    const stdout = await psql(ctx, ['--file', file], (2 * minutes + 1) * 60_000);
    for (const [index, { name }] of checks.entries()) judge(ctx, name, said(stdout, index));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** @returns {string | undefined} what psql printed for this check; undefined when it did not come so far */
function said(stdout, index) {
  const [begin, end] = [`${MARK} begin ${index}\n`, `${MARK} end ${index}\n`];
  const from = stdout.indexOf(begin);
  const to = stdout.indexOf(end, from);
  return from === -1 || to === -1 ? undefined : stdout.slice(from + begin.length, to);
}

function judge(ctx, name, text) {
  if (text === undefined) {
    ctx.error(name, 'was not checked: the time was over, or the session ended');
    return;
  }
  const [, sqlState, message = ''] = new RegExp(`^${MARK} error (\\S+) ([^]*)`, 'm').exec(text) ?? [];
  const finding = (what) => ctx.fail('corruption', { where: name, message: what, severity: 'critical' });
  if (sqlState !== undefined) {
    if (GONE.has(sqlState) || message.startsWith('could not open relation with OID')) return;
    if (DAMAGE.has(sqlState)) finding(`${firstLine(message)} (${sqlState})`);
    else ctx.error(name, `cannot be checked: ${firstLine(message)} (${sqlState})`);
    return;
  }
  const rows = text.split('\n').filter((row) => row.includes('|'));
  if (rows.length === 0) return;
  const [block, ...what] = rows[0].split('|');
  finding(`block ${block}: ${what.join('|')}${rows.length > 1 ? `, and ${rows.length - 1} more` : ''}`);
}

async function query(ctx, sql) {
  const stdout = await psql(ctx, ['--command', sql], 60_000);
  return stdout
    .split('\n')
    .filter((row) => row !== '')
    .map((row) => row.split('|'));
}

/** Never asks for a password. The name of the database goes by the environment: as an option it could be a whole address. */
async function psql(ctx, args, timeoutMs) {
  const { host, port, db, user, timeout } = ctx.args;
  const limitMs = ctx.args['max-minutes'] * 60_000;
  const options = ['default_transaction_read_only=on', `statement_timeout=${limitMs}`, 'lock_timeout=10000'];
  const { code, stdout, stderr } = await ctx.run(
    [
      'psql',
      '--no-psqlrc',
      '--no-password',
      '--quiet',
      '--tuples-only',
      '--no-align',
      '--field-separator=|',
      ...args,
    ],
    {
      timeoutMs,
      env: {
        PGDATABASE: db,
        PGPORT: `${port}`,
        PGCONNECT_TIMEOUT: `${timeout}`,
        PGAPPNAME: 'table_corruption_check',
        PGOPTIONS: options.map((option) => `-c ${option}`).join(' '),
        ...(host === undefined ? {} : { PGHOST: host }),
        ...(user === undefined ? {} : { PGUSER: user }),
      },
    },
  );
  if (code !== 0) throw new CannotCheck(`database ${db}`, firstLine(stderr) || `psql ends with ${code}`);
  return stdout;
}
