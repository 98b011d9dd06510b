/**
 * Looks through the tables of MySQL or MariaDB with CHECK TABLE, which reads them and repairs nothing.
 */
import { CannotCheck } from '#skill';
import { firstLine } from './containers.mjs';

const TABLES = `select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'
  and table_schema not in ('information_schema', 'performance_schema', 'sys', 'mysql')`;
const FINE = /^(?:OK|Table is already up to date)$/i;

/** @param {import('#skill').Context} ctx */
export async function checkMysql(ctx) {
  const client = ['mysql', 'mariadb'].find((name) => ctx.tool(name) !== undefined);
  if (client === undefined) throw new CannotCheck('mysql', 'is not installed, nor is mariadb');
  const { db } = ctx.args;
  const rows = await query(ctx, client, TABLES, 60_000);
  const tables = rows.filter(([schema]) => db === undefined || schema === db);
  const where = db === undefined ? 'all databases' : `database ${db}`;
  const untilMs = performance.now() + ctx.args['max-minutes'] * 60_000;
  for (const [schema = '', table = ''] of tables) {
    const name = `${schema}.${table}`;
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0) ctx.error(name, 'was not checked: the time was over');
    else await check(ctx, client, name, `${quote(schema)}.${quote(table)}`, leftMs);
  }
  ctx.metric('tables', tables.length);
  return { where, looked: `${tables.length} tables` };
}

async function check(ctx, client, name, quoted, timeoutMs) {
  const depth = ctx.args.thorough ? 'extended' : 'medium';
  for (const [, , kind = '', text = ''] of await query(
    ctx,
    client,
    `check table ${quoted} ${depth}`,
    timeoutMs,
  )) {
    if (kind === 'error' || (kind === 'status' && !FINE.test(text))) {
      if (/doesn't exist/.test(text)) return; // dropped meanwhile
      if (/denied/i.test(text)) ctx.error(name, `cannot be checked: ${text}`);
      else ctx.fail('corruption', { where: name, message: text, severity: 'critical' });
    } else if (kind !== 'status') ctx.warn('remark', { where: name, message: text });
  }
}

/** Options files may hold the password, as may MYSQL_PWD; nobody is asked for it. */
async function query(ctx, client, sql, timeoutMs) {
  const { host, port, user, timeout } = ctx.args;
  const argv = [
    client,
    '--batch',
    '--skip-column-names',
    `--connect-timeout=${timeout}`,
    `--port=${port}`,
    ...(host === undefined ? [] : [`--host=${host}`]),
    ...(user === undefined ? [] : [`--user=${user}`]),
    `--execute=${sql}`,
  ];
  const { code, stdout, stderr } = await ctx.run(argv, { timeoutMs });
  if (code !== 0) {
    const why = stderr.split('\n').find((line) => line.startsWith('ERROR')) ?? firstLine(stderr);
    throw new CannotCheck(client, why || `ends with ${code}`);
  }
  return stdout
    .split('\n')
    .filter((row) => row !== '')
    .map((row) => row.split('\t').map(unescaped));
}

const quote = (name) => `\`${name.replaceAll('`', '``')}\``;
/** As `--batch` writes them. */
const unescaped = (cell) =>
  cell.replaceAll(/\\([nt0\\])/g, (_, char) => ({ n: '\n', t: '\t', 0: '\0', '\\': '\\' })[char]);
