// Round trips to a host. What got no answer counts as well as what took long.

import { setTimeout as delay } from 'node:timers/promises';
import { connect, isHost, isNameTrouble, whyNoConnection } from '#lib/net.mjs';
import { CannotCheck, skill } from '#skill';

async function roundTrips(ctx) {
  const { method } = ctx.args;
  if (method !== 'tcp') {
    const times = await byPing(ctx);
    if (times !== undefined) return { method: 'ping', times };
    if (method === 'ping') throw new CannotCheck('ping', 'is not installed, or may not be used');
  }
  return { method: `tcp ${ctx.args.port}`, times: await byConnections(ctx) };
}

/** @returns {Promise<number[] | undefined>} ms of each answer; undefined when ping cannot be used here */
async function byPing(ctx) {
  const { host, n, timeout } = ctx.args;
  const ping = ctx.tool('ping');
  if (ping === undefined) return undefined;
  // That of macOS takes milliseconds, those of Linux (iputils, busybox) seconds.
  const wait = process.platform === 'darwin' ? timeout * 1000 : timeout;
  const { stdout, stderr } = await ctx.run([ping, '-n', '-c', `${n}`, '-W', `${wait}`, host], {
    timeoutMs: (n * (timeout + 1) + 5) * 1000,
  });
  // Each answer by itself: the last line's form differs from ping to ping, and is absent when nothing came.
  const times = [...stdout.matchAll(/^\d+ bytes from .*[ :]time[=<](\d+(?:\.\d+)?) ?ms(?!.*DUP)/gm)];
  if (times.length > 0) return times.slice(0, n).map(([, ms]) => Number(ms));
  if (/^\d+ packets transmitted/m.test(stdout)) return [];
  if (/unknown host|name or service|bad address|name resolution|nodename nor|not known/i.test(stderr)) {
    throw new CannotCheck(host, 'the name does not resolve');
  }
  return undefined; // no right to open its socket, or a ping of another kind
}

/** A connection that is refused has gone there and back as well. */
async function byConnections(ctx) {
  const { host, n, port, timeout } = ctx.args;
  const times = [];
  for (let trip = 0; trip < n; trip++) {
    if (trip > 0) await delay(100);
    const startedMs = performance.now();
    try {
      const { socket, ms } = await connect({ host, port }, timeout * 1000);
      socket.destroy();
      times.push(ms);
    } catch (error) {
      if (typeof error.code !== 'string') throw error;
      if (isNameTrouble(error)) throw new CannotCheck(host, whyNoConnection(error));
      if (error.code === 'ECONNREFUSED') times.push(performance.now() - startedMs);
    }
  }
  return times.map((ms) => Math.round(ms * 1000) / 1000);
}

await skill({
  url: import.meta.url,
  positionals: ['host', 'n', 'ms'],
  help: {
    host: 'name or address',
    n: 'how many round trips',
    ms: 'the mean may be this long, milliseconds',
    'max-loss': 'percent of round trips that may get no answer',
    method: 'ping, or connections to --port; auto: ping where it works, otherwise connections',
    port: 'for connections',
    timeout: 'seconds for one round trip',
    'only-if': 'skip unless this file is there, for one rollout to many kinds of hosts',
  },
  async check(ctx) {
    const { host, n, ms: limit, 'max-loss': maxLoss, 'only-if': onlyIf } = ctx.args;
    if (onlyIf !== undefined && (await ctx.stat(onlyIf)) === undefined) ctx.skip(`there is no ${onlyIf}`);
    if (!isHost(host))
      throw new CannotCheck('host', `${JSON.stringify(host)} is neither a name nor an address`);
    const { method, times } = await roundTrips(ctx);
    const loss = ((n - times.length) / n) * 100;
    ctx.metric('method', method);
    ctx.metric('sent', n);
    ctx.metric('received', times.length);
    ctx.metric('loss_percent', Math.round(loss * 10) / 10);
    const where = `${host} (${method})`;
    if (loss > maxLoss) {
      ctx.fail('loss', {
        where,
        message: `${loss.toFixed(0)} % of ${n} got no answer, more than ${maxLoss} %`,
      });
    } else if (loss > 0) {
      ctx.warn('some_loss', { where, message: `${loss.toFixed(0)} % of ${n} got no answer` });
    }
    if (times.length === 0) return;
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    ctx.metric('mean_ms', Math.round(mean * 1000) / 1000);
    ctx.metric('min_ms', Math.min(...times));
    ctx.metric('max_ms', Math.max(...times));
    const took = `mean ${mean.toFixed(1)} ms`;
    if (mean > limit)
      ctx.fail('slow', { where, message: `${took}, more than ${limit} ms`, severity: 'medium' });
    else ctx.ok(where, `${took} of at most ${limit} ms`);
  },
});
