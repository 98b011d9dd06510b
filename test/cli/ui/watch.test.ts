// Following a job without a terminal: a line for each change.
import { describe, expect, test } from 'vitest';
import type { CliContext } from '../../../src/cli/command.ts';
import { follow } from '../../../src/cli/ui/watch.ts';
import type { JobView } from '../../../src/doors/jobs/view.ts';
import { context } from './context.ts';
import { done, jobView, NOW, running } from './views.ts';

const RUNNING = jobView({ steps: [running(0, 'only')], checkpoints: [] });
const OVER = jobView({
  status: 'completed',
  updatedAtMs: NOW,
  steps: [done(0, 'only')],
  checkpoints: [{ id: 'cp_9', type: 'completed', summary: 'all \u001b[2J done', atMs: NOW - 1 }],
});

/** Follows these views; each is announced as soon as the one before was read. */
async function followed(
  views: readonly JobView[],
  more: Partial<CliContext> = {},
): Promise<{ text: string; open: number }> {
  let text = '';
  let open = 0;
  let at = 0;
  const write = (added: string): boolean => {
    text += added;
    return true;
  };
  await follow(context({ write }, more), {
    async refresh() {
      const view = views[Math.min(at, views.length - 1)];
      at += 1;
      return view ?? jobView();
    },
    subscribe(listener) {
      open += 1;
      const timer = setInterval(listener, 5);
      return () => {
        open -= 1;
        clearInterval(timer);
      };
    },
    nowMs: () => NOW,
  });
  return { text, open };
}

describe('watch without a terminal', () => {
  test('prints each change, ends with the job, and says what to do next', async () => {
    const { text, open } = await followed([RUNNING, RUNNING, OVER]);
    expect(text.split('\n')).toEqual([
      '2026-01-02T03:04:00.8Z step only running',
      '2026-01-02T03:04:00.8Z status release_42 running',
      '2026-01-02T03:03:05.4Z step only done in 0.4s',
      String.raw`2026-01-02T03:04:04.999Z checkpoint cp_9 completed: all \u001b[2J done`,
      '2026-01-02T03:04:05Z status release_42 completed',
      '2026-01-02T03:04:05Z next reeve checkpoint list release_42',
      '',
    ]);
    expect(open).toBe(0);
  });

  test('with --json each change is a line of JSON, on a terminal as well', async () => {
    const { text } = await followed([RUNNING, OVER], { json: true });
    const lines = text.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toHaveLength(5);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      at: '2026-01-02T03:04:00.8Z',
      kind: 'step',
      id: '0:only',
      summary: 'only running',
      status: 'running',
    });
  });

  test('ends when it is told to, before the job does', async () => {
    const stop = new AbortController();
    const ended = followed([RUNNING], { signal: stop.signal });
    stop.abort();
    expect((await ended).text).not.toContain(' next ');
  });

  test('fails with its source, and stops listening', async () => {
    let open = 0;
    const failing = follow(context({ write: () => true }), {
      refresh: () => Promise.reject(new Error('gone')),
      subscribe() {
        open += 1;
        return () => {
          open -= 1;
        };
      },
      nowMs: () => NOW,
    });
    await expect(failing).rejects.toThrow('gone');
    expect(open).toBe(0);
  });
});
