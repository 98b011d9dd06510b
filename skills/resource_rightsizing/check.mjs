// Containers that idle. One look tells little, so it looks several times and judges by the highest.

import { setTimeout as delay } from 'node:timers/promises';
import { bytesOf, runtimes, table } from '#lib/containers.mjs';
import { CannotCheck, skill } from '#skill';

const MIB = 1024 * 1024;

async function look(ctx, runtime, seen, excluded) {
  const argv = [runtime, 'stats', '--no-stream', '--no-trunc'];
  for (const [id, name = '', percent = '', usage = ''] of await table(ctx, argv, [
    'ID',
    'Name',
    'CPUPerc',
    'MemUsage',
  ])) {
    if (excluded.has(name)) continue;
    const key = `${runtime} ${id}`;
    if (!seen.has(key)) seen.set(key, { where: `${runtime} ${name}`, cpu: [], bytes: [] });
    // A container that ends while it is looked at has `--` for a number.
    const cpu = /^\d+(?:\.\d+)?%$/.test(percent) ? Number.parseFloat(percent) : undefined;
    const bytes = bytesOf(usage.split('/')[0] ?? '');
    if (cpu === undefined || bytes === undefined) continue;
    seen.get(key).cpu.push(cpu);
    seen.get(key).bytes.push(bytes);
  }
}

await skill({
  url: import.meta.url,
  help: {
    cpu: 'percent of one processor; less than this at every sample is idle',
    'mem-mb': 'MiB; less than this at every sample is small',
    samples: 'how often to look',
    interval: 'seconds between samples',
    exclude: 'names of containers to leave out, separated by commas',
    runtime: 'which container runtime to ask; auto: every one that is installed',
  },
  async check(ctx) {
    const { samples, interval, cpu, 'mem-mb': memory } = ctx.args;
    const excluded = new Set(ctx.words('exclude'));
    const asked = new Set(runtimes(ctx));
    /** @type {Map<string, {where: string, cpu: number[], bytes: number[]}>} */
    const seen = new Map();
    for (let sample = 0; sample < samples; sample++) {
      if (sample > 0) await delay(interval * 1000);
      for (const runtime of asked) {
        try {
          await look(ctx, runtime, seen, excluded);
        } catch (error) {
          if (!(error instanceof CannotCheck)) throw error;
          ctx.error(error.where, error.message);
          asked.delete(runtime); // the other may answer
        }
      }
    }
    if (seen.size === 0 && ctx.report.outcome === 'pass') ctx.skip('no container is running');

    let idle = 0;
    let whole = 0;
    for (const { where, cpu: percents, bytes } of seen.values()) {
      if (percents.length < samples) {
        ctx.warn('not_seen_throughout', {
          where,
          message: `seen in ${percents.length} of ${samples} samples: not judged`,
        });
        continue;
      }
      whole += 1;
      const [peakCpu, peakBytes] = [Math.max(...percents), Math.max(...bytes)];
      const used = `at most ${peakCpu.toFixed(2)} % CPU and ${(peakBytes / MIB).toFixed(1)} MiB in ${samples} samples`;
      if (peakCpu >= cpu || peakBytes >= memory * MIB) {
        ctx.ok(where, used);
        continue;
      }
      idle += 1;
      ctx.fail('overprovisioned', { where, message: used, severity: 'low' });
    }
    ctx.metric('containers', whole);
    ctx.metric('overprovisioned', idle);
    ctx.metric('samples', samples);
  },
});
