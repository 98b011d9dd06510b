// Whether the machine has room: disk, inodes, load, memory. Every limit is an argument.

import { statfs } from 'node:fs/promises';
import { CannotCheck, skill } from '#skill';

/** What df says of one file system; undefined where it cannot count that (inodes, in some systems and some df). */
async function fromDf(ctx, tool, mount, option) {
  const { code, stdout } = await ctx.run([tool, '-P', option, '--', ctx.path(mount)]);
  const fields = stdout.trimEnd().split('\n').at(-1).split(/\s+/);
  // A source may hold spaces, so the numbers are counted from the percentage.
  const at = fields.findIndex((field, index) => index > 2 && /^(?:\d+%|-)$/.test(field));
  const [total, used, free] = at < 3 ? [] : fields.slice(at - 3, at).map(Number);
  if (code !== 0 || ![total, used, free].every(Number.isFinite)) return undefined;
  return { total, used, free };
}

/** @returns {Promise<{disk: object, inodes: object | undefined}>} */
async function usage(ctx, mount) {
  const tool = ctx.tool('df');
  if (tool !== undefined) {
    const disk = await fromDf(ctx, tool, mount, '-k');
    if (disk === undefined) throw new CannotCheck(mount, 'df does not tell how full it is');
    return { disk, inodes: await fromDf(ctx, tool, mount, '-i') };
  }
  try {
    const { blocks, bfree, bavail, files, ffree } = await statfs(ctx.path(mount));
    return {
      disk: { total: blocks, used: blocks - bfree, free: bavail },
      inodes: { total: files, used: files - ffree, free: ffree },
    };
  } catch (error) {
    throw new CannotCheck(mount, `how full it is cannot be told: ${error.code}`);
  }
}

/** Of what can be used at all: a part may be kept for root. */
const share = ({ used, free }) => (100 * used) / (used + free);
const percent = (value) => `${value.toFixed(1)} %`;

function below(ctx, id, where, what, value, limit) {
  ctx.metric(`${id}_pct${where === '/' ? '' : `:${where}`}`, Math.round(value * 10) / 10);
  if (value < limit) ctx.ok(where, `${what}: ${percent(value)} used, below ${limit} %`);
  else ctx.fail(`${id}_full`, { where, message: `${what}: ${percent(value)} used, not below ${limit} %` });
}

async function checkMounts(ctx) {
  for (const mount of ctx.words('mounts')) {
    const { disk, inodes } = await usage(ctx, mount);
    below(ctx, 'disk', mount, 'disk', share(disk), ctx.args['max-disk-pct']);
    // Some file systems make inodes as they need them, and count none.
    if (inodes !== undefined && inodes.total > 0) {
      below(ctx, 'inodes', mount, 'inodes', share(inodes), ctx.args['max-inode-pct']);
    }
  }
}

async function checkLoad(ctx) {
  const loads = (await ctx.read('/proc/loadavg'))?.trim().split(/\s+/).map(Number);
  const stat = await ctx.read('/proc/stat');
  if (loads === undefined || stat === undefined) return false;
  const minutes = ctx.args['load-minutes'];
  const load = loads[['1', '5', '15'].indexOf(minutes)];
  const cpus = [...stat.matchAll(/^cpu\d+ /gm)].length;
  if (!Number.isFinite(load)) throw new CannotCheck('/proc/loadavg', 'is not in the form of /proc');
  if (cpus === 0) throw new CannotCheck('/proc/stat', 'names no processor');
  ctx.metric('load', load);
  ctx.metric('cpus', cpus);
  const limit = Number(ctx.args['max-load-per-cpu']) * cpus;
  const message = `load of ${minutes} min is ${load} on ${cpus} processors`;
  if (load <= limit) ctx.ok('/proc/loadavg', `${message}, at most ${limit}`);
  else ctx.fail('load_high', { where: '/proc/loadavg', message: `${message}: over ${limit}` });
  return true;
}

async function checkMemory(ctx) {
  const text = await ctx.read('/proc/meminfo');
  if (text === undefined) return false;
  const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]);
  const available = (100 * kib('MemAvailable')) / kib('MemTotal');
  if (!Number.isFinite(available)) throw new CannotCheck('/proc/meminfo', 'does not tell what is available');
  ctx.metric('memory_available_pct', Math.round(available * 10) / 10);
  const min = ctx.args['min-memory-pct'];
  const message = `${percent(available)} of memory available`;
  if (available >= min) ctx.ok('/proc/meminfo', `${message}, at least ${min} %`);
  else ctx.fail('memory_low', { where: '/proc/meminfo', message: `${message}: less than ${min} %` });
  return true;
}

const CHECKS = { disks: checkMounts, load: checkLoad, memory: checkMemory };

await skill({
  url: import.meta.url,
  help: {
    'max-disk-pct': 'disks are used less than that',
    'max-inode-pct': 'inodes are used less than that',
    'max-load-per-cpu': 'how high the load may be for each processor',
    'load-minutes': 'which of the three loads',
    'min-memory-pct': 'how much memory has to be available',
    mounts: 'file systems, with commas between',
  },
  async check(ctx) {
    if ((await ctx.list('/proc')) === undefined) ctx.skip('there is no /proc here');
    for (const [what, check] of Object.entries(CHECKS)) {
      try {
        if ((await check(ctx)) === false) ctx.error('/proc', `does not tell about ${what}`);
      } catch (error) {
        // One that fails does not hide the others.
        if (!(error instanceof CannotCheck)) throw error;
        ctx.error(error.where, error.message);
      }
    }
  },
});
