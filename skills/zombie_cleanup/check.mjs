// Defunct processes: they have ended, and their parent has not asked how. They cannot be killed; only the parent can help.

import { setTimeout as delay } from 'node:timers/promises';
import { CannotCheck, skill } from '#skill';

/** How long reminded parents get, milliseconds. */
const REAP_MS = 2000;
const LOOK_MS = 100;

/** @returns {Promise<Map<string, {pid: number, name: string, state: string, parent: number, start: string}>>} */
async function processes(ctx) {
  const entries = await ctx.list('/proc');
  if (entries === undefined) ctx.skip('there is no /proc here');
  const found = new Map();
  for (const { name: pid } of entries.filter(({ name }) => /^\d+$/.test(name))) {
    const path = `/proc/${pid}/stat`;
    const text = await ctx.read(path).catch((error) => {
      if (/ESRCH/.test(error.message)) return undefined; // it has gone meanwhile
      throw error;
    });
    if (text === undefined) continue;
    // The name stands in brackets and may hold any character, brackets and spaces too.
    const match = /^\d+ \((.*)\) (\S) (.*)$/s.exec(text.trimEnd());
    const rest = match?.[3].split(' ') ?? [];
    if (rest.length < 19) throw new CannotCheck(path, 'is not in the form of /proc');
    found.set(pid, {
      pid: Number(pid),
      name: match[1],
      state: match[2],
      parent: Number(rest[0]),
      start: rest[18],
    });
  }
  return found;
}

/** Whoever ends is defunct for a moment: what counts is who still is at a second look. */
async function defunct(ctx, all, before) {
  const of = ctx.args.parent;
  return [...all.values()].filter(({ pid, state, parent, start }) => {
    if (state !== 'Z' || (of !== undefined && parent !== of)) return false;
    return before === undefined || before.some((one) => one.pid === pid && one.start === start);
  });
}

/** Reminds parents by SIGCHLD, which does nothing to a process that does not handle it. @returns who is still defunct */
async function remind(ctx, zombies) {
  if (ctx.root !== '/') throw new CannotCheck('--apply', 'signals reach this machine only, not --root');
  for (const parent of new Set(zombies.map((zombie) => zombie.parent))) {
    try {
      process.kill(parent, 'SIGCHLD');
      ctx.ok(`/proc/${parent}`, 'was sent SIGCHLD');
    } catch (error) {
      ctx.error(`/proc/${parent}`, `cannot be sent SIGCHLD: ${error.code}`);
    }
  }
  let left = zombies;
  for (let waited = 0; left.length > 0 && waited < REAP_MS; waited += LOOK_MS) {
    await delay(LOOK_MS);
    left = await defunct(ctx, await processes(ctx), left);
  }
  ctx.metric('reaped', zombies.length - left.length);
  return left;
}

await skill({
  url: import.meta.url,
  help: {
    max: 'that many are accepted',
    parent: 'only children of this process',
    'recheck-ms': 'time between the two looks',
    apply: 'send SIGCHLD to their parents, and see whether that helps',
  },
  async check(ctx) {
    let all = await processes(ctx);
    let zombies = await defunct(ctx, all);
    if (zombies.length > 0) {
      await delay(ctx.args['recheck-ms']);
      all = await processes(ctx);
      zombies = await defunct(ctx, all, zombies);
    }
    ctx.metric('processes', all.size);
    ctx.metric('defunct', zombies.length);
    if (zombies.length > 0 && ctx.args.apply) zombies = await remind(ctx, zombies);
    const tell = zombies.length > ctx.args.max ? 'fail' : 'warn';
    for (const { pid, name, parent } of zombies) {
      const by = all.get(String(parent))?.name ?? 'gone';
      const message = `${name} is defunct; its parent ${parent} (${by}) has not reaped it`;
      ctx[tell]('defunct_process', { where: `/proc/${pid}`, message, severity: 'low' });
    }
    if (zombies.length <= ctx.args.max) ctx.ok('', `${zombies.length} defunct of ${all.size} processes`);
  },
});
