import { writeFileSync } from 'node:fs';
import { chart, type Bar, type Panel } from '../chart.ts';
import type { Results, Where } from '../results.ts';

/** Panels of the side by side figures; those without bars are left out. */
function panels(results: Results): readonly Panel[] {
  const bars = (where: Where, clients: number, kind: 'p50' | 'perSecond'): Bar[] =>
    results.systems(where).flatMap((entry) => {
      if (clients > 1 && entry.alone === true) return [];
      const value = results.steps(entry, where, clients, (steps) => steps[kind])?.median;
      if (value === undefined) return [];
      const shown =
        kind === 'p50' ? `${value.toFixed(2)} ms` : value.toLocaleString('en', { maximumFractionDigits: 0 });
      return [{ label: entry.title, value, shown, kind: entry.kind }];
    });
  return [
    {
      title: 'One durable step, one client',
      note: 'Milliseconds, p50, in process. Shorter is better. Grey: what the disk or the database does by itself.',
      bars: bars('here', 1, 'p50'),
    },
    {
      title: 'Durable steps per second, 32 clients',
      note: 'Effects in the process of the client. Longer is better.',
      bars: bars('here', 32, 'perSecond'),
    },
    {
      title: 'Durable steps per second, 32 clients, workers in another process',
      note: 'Effects in a process that neither asks for them nor owns the store. Longer is better.',
      bars: bars('elsewhere', 32, 'perSecond'),
    },
  ].filter((panel) => panel.bars.length > 0);
}

export function writePicture(results: Results, footer: string): void {
  const svg = chart('Reeve beside other engines and queues', footer, panels(results));
  writeFileSync(new URL('../../docs/benchmarks.svg', import.meta.url), svg);
}
