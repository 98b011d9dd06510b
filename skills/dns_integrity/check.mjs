// Whether a name resolves, and to what it should. What a server says about its troubles is never an answer.

import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { parseEndpoint, showEndpoint } from '#lib/net.mjs';
import { CannotCheck, skill } from '#skill';

/** The server answered, and its answer is that there is nothing. */
const NOTHING = { ENOTFOUND: 'there is no such name', ENODATA: 'the name has no such record' };
/** The server was reached, and could not find out; so it is for everybody who asks it. */
const FAILED = {
  ESERVFAIL: 'the server fails to resolve it (a broken DNSSEC signature looks like this too)',
};
const NO_ANSWER = {
  ETIMEOUT: 'no answer in time',
  ECONNREFUSED: 'nothing listens there',
  EREFUSED: 'the server refuses to answer',
  EBADRESP: 'the answer cannot be understood',
  EFORMERR: 'the server does not understand the question',
  ENOTIMP: 'the server does not know the question',
};

async function serversToAsk(ctx) {
  const given = ctx.words('server');
  const servers = given.length > 0 ? given : await configured(ctx);
  return servers.map((text) => {
    const endpoint = parseEndpoint(text, 53);
    if (endpoint === undefined || isIP(endpoint.host) === 0) {
      throw new CannotCheck('server', `${JSON.stringify(text)} is no address of a name server`);
    }
    return showEndpoint(endpoint);
  });
}

async function configured(ctx) {
  const file = '/etc/resolv.conf';
  const text = await ctx.read(file);
  if (text === undefined) ctx.skip(`there is no ${file}: this host does not use DNS`);
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server = '']) => server);
  if (servers.length === 0) ctx.skip(`${file} names no server: this host does not use DNS`);
  // A link-local address has a zone, which only this host's own resolver knows to use.
  return servers.map((server) => server.replace(/%.*$/, ''));
}

/** @returns {Promise<string[]>} records as text, sorted */
async function ask(ctx, server) {
  const resolver = new Resolver({ timeout: ctx.args.timeout * 1000, tries: 1 });
  resolver.setServers([server]);
  const records = await resolver.resolve(ctx.args.host, ctx.args.type);
  return [records]
    .flat()
    .map((record) => normal(textOf(record)))
    .toSorted((a, b) => a.localeCompare(b, 'en'));
}

function textOf(record) {
  if (typeof record === 'string') return record;
  const { priority, weight, port, exchange, name, nsname, serial, critical, type: _, ...more } = record;
  if (exchange !== undefined) return `${priority} ${exchange}`;
  if (port !== undefined) return `${priority} ${weight} ${port} ${name}`;
  if (nsname !== undefined) return `${nsname} ${serial}`;
  return critical === undefined ? String(record) : `${critical} ${Object.entries(more).flat().join(' ')}`;
}

function compare(ctx, where, expected, records) {
  const missing = expected.filter((record) => !records.includes(record));
  const extra = records.filter((record) => !expected.includes(record));
  if (missing.length === 0 && extra.length === 0) {
    ctx.ok(where, records.join(', '));
    return true;
  }
  const parts = [
    missing.length > 0 ? `missing ${missing.join(', ')}` : '',
    extra.length > 0 ? `not expected ${extra.join(', ')}` : '',
  ];
  ctx.fail('unexpected_answer', { where, message: parts.filter((part) => part !== '').join('; ') });
  return false;
}

/** Names are the same in capitals and with the last dot. @param {string} record */
const normal = (record) => record.toLowerCase().replace(/\.$/, '');

await skill({
  url: import.meta.url,
  positionals: ['host'],
  help: {
    host: 'name to resolve',
    type: 'type of record',
    server:
      'addresses of name servers, with :port if not 53, separated by commas; otherwise those of /etc/resolv.conf',
    expect: 'the whole answer, parts separated by commas, in any order',
    timeout: 'seconds for one server',
  },
  async check(ctx) {
    const { host, type } = ctx.args;
    const servers = await serversToAsk(ctx);
    const expected = ctx.words('expect').map(normal);
    const answers = new Map();
    let failures = 0;
    for (const server of servers) {
      const where = `${host} ${type} @${server}`;
      try {
        const records = await ask(ctx, server);
        answers.set(server, records);
        if (expected.length === 0) ctx.ok(where, records.join(', '));
        else if (!compare(ctx, where, expected, records)) failures += 1;
      } catch (error) {
        const why = NOTHING[error.code] ?? FAILED[error.code];
        if (why === undefined) {
          ctx.error(where, NO_ANSWER[error.code] ?? error.message);
          continue;
        }
        failures += 1;
        ctx.fail(error.code in NOTHING ? 'not_resolved' : 'resolver_failure', { where, message: why });
      }
    }
    const [first] = answers.values();
    for (const [server, records] of expected.length === 0 ? answers : []) {
      if (records.join() === first.join()) continue;
      const message = `answers otherwise than ${servers[0]}; hosts near the reader may do this rightly: use --expect`;
      ctx.warn('answers_differ', { where: `${host} ${type} @${server}`, message, severity: 'medium' });
    }
    ctx.metric('servers', servers.length);
    ctx.metric('answers', answers.size);
    ctx.metric('failures', failures);
  },
});
