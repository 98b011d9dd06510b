// A run of ARP on a terminal: its tree and its events.
import { describe, expect, test } from 'vitest';
import { NodeRunFacts, type RunTreeNode } from '../../../src/cli/arp/run-tree.ts';
import { paletteFor } from '../../../src/cli/ui/colour.ts';
import { eventLine, treeLines } from '../../../src/cli/ui/run.ts';
import { paint, textWidth, type Line } from '../../../src/cli/ui/text.ts';

const PLAIN = paletteFor({}, {});
const shown = (lines: readonly Line[], width = Number.POSITIVE_INFINITY): string[] =>
  lines.map((line) => paint(line, width, PLAIN));
const id = (digit: string): string => `node_run_${digit.repeat(32)}`;

const node = (digit: string, more: Partial<RunTreeNode> = {}): RunTreeNode => ({
  node_run_id: id(digit),
  node_type_id: `type.${digit}`,
  version: '1.0.0',
  state: 'succeeded',
  duration_ms: 1234,
  children: [],
  ...more,
});
const NOW = Date.parse('2026-01-01T00:00:05Z');

describe('the tree', () => {
  const { duration_ms: _took, ...running } = node('3', {
    state: 'running',
    started_at: '2026-01-01T00:00:00Z',
  });
  const tree = node('0', {
    state: 'failed',
    error: { code: 'child_failed', message: 'a child did not\u001b[2J succeed' },
    children: [
      node('1', { children: [node('2'), running] }),
      node('4', { state: 'failed', error: { code: 'x', message: 'y' } }),
    ],
  });

  test('has a row for each NodeRun, and errors below theirs', () => {
    expect(shown(treeLines(tree, NOW, Number.POSITIVE_INFINITY))).toEqual([
      'NODE TYPE           STATE       TIME  NODE RUN',
      'type.0@1.0.0        failed      1.2s  node_run_00000000',
      String.raw`│ child_failed: a child did not\u001b[2J succeed`,
      '├─ type.1@1.0.0     succeeded   1.2s  node_run_11111111',
      '│  ├─ type.2@1.0.0  succeeded   1.2s  node_run_22222222',
      '│  └─ type.3@1.0.0  running    5.0s…  node_run_33333333',
      '└─ type.4@1.0.0     failed      1.2s  node_run_44444444',
      '     x: y',
    ]);
  });

  test('fits into narrow terminals', () => {
    for (const width of [30, 40, 71, 72, 100])
      for (const line of shown(treeLines(tree, NOW, width), width))
        expect(textWidth(line)).toBeLessThanOrEqual(width);
    expect(shown(treeLines(tree, NOW, 40), 40)[1]).toMatch(/^type\.0@1\.0\.0 +failed +1\.2s$/);
  });
});

describe('what events tell', () => {
  const assigned = (child: string, parent?: string) => ({
    seq: 1,
    type: 'node_run_assigned',
    node_run_id: child,
    data: parent === undefined ? { root: true } : { parent_node_run_id: parent },
  });

  test('a NodeRun whose parent is not told stands below the root, and a circle ends', () => {
    const facts = new NodeRunFacts();
    for (const event of [assigned('root'), assigned('a', 'gone'), assigned('b', 'c'), assigned('c', 'b')])
      facts.add(event);
    const { children } = facts.tree('root', new Map());
    expect(children.map((child) => child.node_run_id)).toEqual(['a']);
  });

  test('a line shows type, what it says, and of which NodeRun', () => {
    const line = (type: string, data?: Readonly<Record<string, unknown>>): string => {
      const event = { seq: 12, type, time: '2026-01-01T10:20:30.5Z', node_run_id: id('a') };
      return shown([eventLine({ ...event, ...(data === undefined ? {} : { data }) })])[0] ?? '';
    };
    expect(line('composite_decomposed', { node_run_count: 1 })).toBe(
      ' 12 10:20:30 composite_decomposed     1 NodeRun  node_run_aaaaaaaa',
    );
    expect(line('policy_decided', { action: 'run.start', decision: 'deny', message: 'no' })).toContain(
      'run.start deny no',
    );
    expect(line('of_another_time', { x: 1 })).toContain('{"x":1}');
    expect(line('subtask_mapped', {})).toContain('subtask_mapped');
    expect(line('run_started')).toContain('run_started');
  });
});
