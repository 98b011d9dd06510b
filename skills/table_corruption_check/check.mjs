// Damage in tables and indexes, looked for by the database itself. To have connected proves nothing.

import { checkMysql } from '#lib/mysql-check.mjs';
import { isHost } from '#lib/net.mjs';
import { checkPostgres } from '#lib/postgres-check.mjs';
import { CannotCheck, skill } from '#skill';

await skill({
  url: import.meta.url,
  positionals: ['host', 'port', 'db'],
  help: {
    host: 'name or address of the server, or the folder of its socket; otherwise what the client takes',
    port: 'its port; otherwise 5432, or 3306 for MySQL',
    db: 'database; otherwise postgres, or all of MySQL',
    engine: 'what kind of server it is; auto: mysql for port 3306, otherwise postgresql',
    user: 'who logs in; the password comes from PGPASSWORD, MYSQL_PWD or the files of the clients',
    thorough: 'also that every row is in its indexes: takes much longer',
    'max-minutes': 'after this time no further table is begun',
    timeout: 'seconds for the connection',
  },
  async check(ctx) {
    const { host, engine } = ctx.args;
    if (host !== undefined && !host.startsWith('/') && !isHost(host)) {
      throw new CannotCheck('host', `${JSON.stringify(host)} is neither a name, an address nor a folder`);
    }
    const isMysql = engine === 'mysql' || (engine === 'auto' && ctx.args.port === 3306);
    ctx.args.port ??= isMysql ? 3306 : 5432;
    ctx.args.db ??= isMysql ? undefined : 'postgres';
    const { where, looked } = isMysql ? await checkMysql(ctx) : await checkPostgres(ctx);
    const { tables = 0, indexes = 0 } = ctx.report.metrics;
    if (tables + indexes === 0) ctx.skip(`${where} has no tables`);
    if (ctx.report.outcome === 'pass') ctx.ok(where, `${looked}: no damage found`);
  },
});
