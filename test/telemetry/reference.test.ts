// docs/observability.md says of every metric what the code says.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { METRICS, type MetricSpec } from '../../src/telemetry/meter.ts';

test('the table of metrics is the one of the code', async () => {
  const page = await readFile(join(import.meta.dirname, '../../docs/observability.md'), 'utf8');
  const rows = Object.entries<MetricSpec>(METRICS).map(
    ([name, { kind, labels, help }]) =>
      `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
  );
  expect(page.match(/^\| `(?:reeve|jarvas)_.*$/gm)).toEqual(rows);
});
