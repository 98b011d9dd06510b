// Whether a database takes connections: an open port is not enough, it has to speak as a database does.

import { GREET, USUAL_PORTS } from '#lib/greeting.mjs';
import { connect, isHost, isNameTrouble, showEndpoint, whyNoConnection } from '#lib/net.mjs';
import { CannotCheck, skill } from '#skill';

async function reach(ctx, where) {
  const { host, port, timeout } = ctx.args;
  try {
    const { socket, ms } = await connect({ host, port }, timeout * 1000);
    ctx.metric('connect_ms', Math.round(ms * 1000) / 1000);
    return socket;
  } catch (error) {
    if (isNameTrouble(error)) throw new CannotCheck(host, whyNoConnection(error));
    ctx.fail('no_connection', { where, message: whyNoConnection(error), severity: 'critical' });
    return undefined;
  }
}

await skill({
  url: import.meta.url,
  positionals: ['host', 'port'],
  help: {
    host: 'name or address of the database server',
    port: 'its port',
    protocol: 'what must answer; auto: what the port is usually for, otherwise any connection will do',
    user: 'the name that PostgreSQL is told, no password is ever sent',
    'require-tls': 'PostgreSQL must offer TLS',
    timeout: 'seconds for the connection, and again for the greeting',
    'only-if': 'skip unless this file is there, for one rollout to many kinds of hosts',
  },
  async check(ctx) {
    const { host, port, user, timeout, 'only-if': onlyIf } = ctx.args;
    if (onlyIf !== undefined && (await ctx.stat(onlyIf)) === undefined) ctx.skip(`there is no ${onlyIf}`);
    if (!isHost(host))
      throw new CannotCheck('host', `${JSON.stringify(host)} is neither a name nor an address`);
    const where = showEndpoint({ host, port });
    const protocol = ctx.args.protocol === 'auto' ? (USUAL_PORTS.get(port) ?? 'tcp') : ctx.args.protocol;
    ctx.metric('protocol', protocol);

    const socket = await reach(ctx, where);
    if (socket === undefined) return;
    const greet = GREET[protocol];
    if (greet === undefined) {
      socket.destroy();
      ctx.ok(where, 'takes connections; no greeting was looked for');
      return;
    }
    const { state, message, tls } = await greet(socket, timeout * 1000, user);
    socket.destroy();
    if (tls !== undefined) ctx.metric('tls', tls);
    if (state !== 'ready') {
      const id = { busy: 'no_new_connections', foreign: 'wrong_service', silent: 'no_greeting' }[state];
      ctx.fail(id, { where, message });
    } else ctx.ok(where, message);
    if (ctx.args['require-tls'] && tls === false) ctx.fail('no_tls', { where, message: 'offers no TLS' });
  },
});
