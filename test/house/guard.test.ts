import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { refuseNode } from '../../bin/guard.js';

test.each(['14.21.3', '18.20.8', '20.20.2', '22.0.0', '22.12.0'])(
  'Node %s is refused, with a way out',
  (version) => {
    const line = refuseNode(version);
    expect(line).toContain(
      `E_UNSUPPORTED_NODE: Node ${version} is too old; reeve needs Node 22.13 or newer. `,
    );
    expect(line).toContain('Install Node 24');
    expect(line).not.toContain('\n');
  },
);

test.each(['22.13.0', '22.23.3', '23.0.0', '24.0.0', '24.21.0', '26.10.0'])(
  'Node %s is accepted',
  (version) => {
    expect(refuseNode(version)).toBeUndefined();
  },
);

test('the guard asks for what package.json declares', () => {
  const { engines, devEngines } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { engines: { node: string }; devEngines: { runtime: { version: string } } };
  const oldest = engines.node.replace('>=', '');
  expect(devEngines.runtime.version).toBe(engines.node);
  expect(refuseNode(`${oldest}.0`)).toBeUndefined();
  expect(refuseNode('20.20.2')).toContain(oldest);
});
