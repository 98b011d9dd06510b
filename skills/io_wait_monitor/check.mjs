// How much of the processors' time went by waiting for disks, between two looks at /proc/stat.

import { setTimeout as delay } from 'node:timers/promises';
import { CannotCheck, skill } from '#skill';

const STAT = '/proc/stat';
/** Columns of a `cpu` line. Guests follow; their time is in user and nice already. */
const COLUMNS = ['user', 'nice', 'system', 'idle', 'iowait', 'irq', 'softirq', 'steal'];

async function look(ctx, file) {
  const text = await ctx.read(file);
  if (text === undefined) return undefined;
  const numbers = /^cpu +(\d[\d ]*)$/m.exec(text)?.[1].trim().split(/ +/).map(Number) ?? [];
  if (numbers.length < 5) throw new CannotCheck(file, 'is not in the form of /proc');
  return Object.fromEntries(COLUMNS.map((name, at) => [name, numbers[at] ?? 0]));
}

await skill({
  url: import.meta.url,
  positionals: ['sec', 'pct'],
  help: {
    sec: 'seconds between the two looks',
    pct: 'how much of the time may be waited for disks',
    since: 'a copy of /proc/stat from before, instead of a first look',
  },
  async check(ctx) {
    const { sec, pct, since } = ctx.args;
    const before = await look(ctx, since ?? STAT);
    if (since !== undefined && before === undefined) throw new CannotCheck(since, 'does not exist');
    if (before === undefined) ctx.skip(`there is no ${STAT} here`);
    if (since === undefined) await delay(sec * 1000);
    const after = await look(ctx, STAT);
    if (after === undefined) ctx.skip(`there is no ${STAT} here`);
    // The kernel may take some of iowait back; such a column has stood still.
    const gone = Object.fromEntries(COLUMNS.map((name) => [name, Math.max(0, after[name] - before[name])]));
    const total = COLUMNS.reduce((sum, name) => sum + gone[name], 0);
    if (total === 0) throw new CannotCheck(STAT, 'no processor time has gone by between the two looks');
    const share = (ticks) => (100 * ticks) / total;
    const waited = share(gone.iowait);
    const rounded = (value) => Math.round(value * 10) / 10;
    ctx.metric('iowait_pct', rounded(waited));
    ctx.metric('irq_pct', rounded(share(gone.irq + gone.softirq)));
    ctx.metric('steal_pct', rounded(share(gone.steal)));
    const message = `${waited.toFixed(1)} % of processor time waited for disks`;
    if (waited <= pct) ctx.ok(STAT, `${message}, at most ${pct} %`);
    else ctx.fail('io_wait_high', { where: STAT, message: `${message}: over ${pct} %`, severity: 'medium' });
  },
});
