// Many who follow one run, some of whom come and go (contract arp §2, G29).
import { expect } from 'vitest';
import { openCoordinator } from './coordinator-rig.ts';
import { test } from './support.ts';

const READERS = 100;
const RECONNECTING = 10;
const EVALUATIONS = 150;

interface Line {
  readonly seq: number;
  readonly type: string;
}

/** Follows to the end of the run; whoever comes and goes leaves after each 7 events, and goes on where it was. */
async function follow(url: string, comesAndGoes: boolean): Promise<number[]> {
  const seen: number[] = [];
  for (;;) {
    const cursor = Buffer.from(String(seen.at(-1) ?? 0)).toString('base64url');
    const leave = new AbortController();
    const from = seen.length === 0 ? '' : `&cursor=${cursor}`;
    const answer = await fetch(`${url}?follow=1${from}`, { signal: leave.signal });
    try {
      for await (const { seq, type } of lines(answer)) {
        seen.push(seq);
        if (type === 'run_completed') return seen;
        if (comesAndGoes && seen.length % 7 === 0) break;
      }
    } finally {
      leave.abort();
    }
  }
}

async function* lines(answer: Response): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const piece of answer.body ?? []) {
    text += decoder.decode(piece, { stream: true });
    const whole = text.split('\n');
    text = whole.pop() ?? '';
    for (const line of whole) if (line.trim() !== '') yield JSON.parse(line) as Line;
  }
}

test('G29 100 readers, 10 of whom keep coming back: each sees every event once and in order', async ({
  stack,
}) => {
  const opened = await openCoordinator(stack);
  const { runId, rootId } = await opened.composite();
  const url = `${opened.url}/v1/runs/${runId}/events`;
  const reading = Array.from({ length: READERS }, (_, at) => follow(url, at < RECONNECTING));
  for (let at = 0; at < EVALUATIONS; at += 1) {
    const evaluation_result = { status: 'unknown', message: `${at}` };
    const said = await opened.send('POST', `/v1/node-runs/${rootId}:evaluation`, { evaluation_result });
    expect(said.status).toBe(204);
  }
  await opened.complete(rootId, { state: 'succeeded' });
  const whole = (await opened.events(`/v1/runs/${runId}/events`)).map(({ seq }) => seq);
  expect(whole).toHaveLength(EVALUATIONS + 4);
  for (const seen of await Promise.all(reading)) expect(seen).toEqual(whole);
});
