// Whether this machine comes up again by itself, and whether it is known, and true, who takes over.

import { connect } from 'node:net';
import { join } from 'node:path';
import { CannotCheck, skill } from '#skill';

const ENABLED = new Set(['enabled', 'static', 'alias', 'generated', 'indirect']);
const HOSTS_MAX = 256;

/** Asks systemd; the state of a unit as `systemctl is-enabled` says it. */
async function fromSystemctl(ctx, tool, unit) {
  const { stdout, stderr, code } = await ctx.run([tool, 'is-enabled', `${unit}.service`]);
  const state = stdout.trim().split('\n').at(-1);
  if (state !== '') return state;
  if (code !== 0 && /no such file|not.found/i.test(stderr)) return 'not-found';
  throw new CannotCheck(unit, `systemctl does not tell: ${stderr.trim().split('\n')[0]}`);
}

/** Folders in which a link to a service means that it starts with the machine: systemd, OpenRC, System V. */
async function fromLinks(ctx) {
  const units = new Set();
  let isKnown = false;
  for (const folder of ['/etc/systemd/system', '/run/systemd/system']) {
    for (const { name } of (await ctx.list(folder)) ?? []) {
      if (!/\.(?:wants|requires)$/.test(name)) continue;
      isKnown = true;
      for (const unit of (await ctx.list(join(folder, name))) ?? []) units.add(unit.name);
    }
  }
  for (const folder of ['/etc/runlevels/default', '/etc/rc2.d', '/etc/rc3.d', '/etc/rc5.d']) {
    const entries = await ctx.list(folder);
    if (entries === undefined) continue;
    isKnown = true;
    const isSystemV = folder.startsWith('/etc/rc');
    for (const { name } of entries) {
      if (!isSystemV) units.add(`${name}.service`);
      else if (/^S\d\d/.test(name)) units.add(`${name.slice(3)}.service`);
    }
  }
  if (!isKnown) return undefined;
  return async (unit) => (units.has(`${unit}.service`) ? 'enabled' : 'not enabled');
}

async function checkServices(ctx) {
  const tool = ctx.root === '/' ? ctx.tool('systemctl') : undefined;
  const ask = tool === undefined ? await fromLinks(ctx) : (unit) => fromSystemctl(ctx, tool, unit);
  if (ask === undefined) return false;
  for (const service of ctx.words('services')) {
    // The same service has another name elsewhere: one of them is enough.
    const states = [];
    for (const alias of service.split('|')) {
      const unit = alias.trim().replace(/\.service$/, '');
      if (!/^[\w@.:\\-]+$/.test(unit)) throw new CannotCheck(service, 'is no name of a service');
      states.push([unit, await ask(unit)]);
    }
    const enabled = states.find(([, state]) => ENABLED.has(state));
    const runtime = states.find(([, state]) => state === 'enabled-runtime');
    if (enabled !== undefined) ctx.ok(enabled[0], enabled[1]);
    else if (runtime !== undefined) {
      ctx.warn('enabled_until_reboot', {
        where: runtime[0],
        message: 'is enabled until the next start only',
      });
    } else {
      const message = states.map(([unit, state]) => `${unit} is ${state}`).join(', ');
      ctx.fail('service_not_enabled', { where: service, message });
    }
  }
  return true;
}

/** `host`, `host:port`, `[address]:port`, one a line. */
function addressOf(line, port) {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:\s]+)|([0-9a-f:]+:[0-9a-f:.]*))(?::(\d{1,5}))?$/i.exec(line);
  const address = { host: match?.[1] ?? match?.[2] ?? match?.[3], port: Number(match?.[4] ?? port) };
  return match === null || address.port < 1 || address.port > 65535 ? undefined : address;
}

/** @returns {Promise<string | undefined>} why there is no connection */
function connects({ host, port }, ms) {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (why) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(why);
    };
    const timer = setTimeout(end, ms, `does not answer within ${ms} ms`);
    socket.once('connect', () => end(undefined));
    socket.once('error', (error) => end(`cannot be reached: ${error.code}`));
  });
}

async function checkHosts(ctx) {
  const file = ctx.args['hosts-file'];
  const text = await ctx.read(file);
  if (text === undefined) return false;
  const lines = text.split('\n').map((line, at) => [at + 1, line.replace(/#.*/, '').trim()]);
  const named = lines.filter(([, line]) => line !== '').slice(0, HOSTS_MAX);
  if (named.length === 0) ctx.fail('no_failover_host', { where: file, message: 'names no host' });
  ctx.metric('failover_hosts', named.length);
  await Promise.all(
    named.map(async ([at, line]) => {
      const address = addressOf(line, ctx.args.port);
      if (address === undefined) {
        ctx.fail('bad_failover_host', { where: `${file}:${at}`, message: 'is no host or host:port' });
        return;
      }
      const why = ctx.args.reach ? await connects(address, ctx.args['connect-ms']) : undefined;
      if (why !== undefined) ctx.fail('failover_host_unreachable', { where: line, message: why });
      else ctx.ok(line, ctx.args.reach ? `port ${address.port} can be reached` : 'is named');
    }),
  );
  return true;
}

await skill({
  url: import.meta.url,
  help: {
    services: 'services, with commas between; other names of one with | between',
    'hosts-file': 'file with a host, or host:port, on each line',
    port: 'where hosts without a port are tried',
    'connect-ms': 'how long a host may take',
    reach: '--reach=false does not try the hosts',
  },
  async check(ctx) {
    const hasServices = await checkServices(ctx);
    const hasHosts = await checkHosts(ctx);
    const file = ctx.args['hosts-file'];
    if (!hasServices && !hasHosts && !ctx.isGiven('services') && !ctx.isGiven('hosts-file')) {
      ctx.skip(`no systemd, OpenRC or System V, and no ${file}: nothing is to fail over`);
    }
    if (!hasHosts) ctx.fail('no_hosts_file', { where: file, message: 'does not exist' });
    if (!hasServices) ctx.error('services', 'no systemd, OpenRC or System V tells which are enabled');
  },
});
