// Kills the real program with SIGKILL at every commit and around every effect, brings the job to its end, and looks at
// what the steps themselves wrote: each exactly once, nothing acknowledged lost (I1, I5, W11, W12).
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { ledger, specOf, type Home, type Result, type RunOptions } from '../cli/rig.ts';
import { test } from '../cli/session.ts';

const SPEC = specOf([ledger('one'), { id: 'dry' }, ledger('two')]);

/** @returns false when the program reached its end before the n-th passing of the place. */
async function survive(home: Home, session: Home, place: string, n: number): Promise<boolean> {
  const cwd = home.path(String(n));
  await mkdir(cwd);
  await writeFile(join(cwd, 'spec.json'), JSON.stringify(SPEC));
  const run = (who: Home, args: readonly string[], env: RunOptions['env'] = {}): Promise<Result> =>
    who.run(args, { program: 'reeve', cwd, env: { REEVE_HOME: join(cwd, 'store'), ...env } });

  const first = await run(home, SUBMIT, { REEVE_STOP_AT: `${place}#${n}` });
  const isKilled = first.signal === 'SIGKILL';
  if (isKilled) await finish((args) => run(session, args));
  else expect(first.code, first.stderr).toBe(0);

  const done = (await readFile(join(cwd, 'ledger'), 'utf8')).trim().split('\n');
  expect(done, `${place}#${n}: every effect exactly once`).toEqual(['one', 'two']);
  expect((await run(session, ['status', 'j', '--json'])).json).toMatchObject({ status: 'completed' });
  const check = await run(session, ['store', 'check', '--json']);
  expect(check.code, check.stdout + check.stderr).toBe(0);
  const text = await readFile(join(cwd, 'store', 'jobs', 'j', 'events.jsonl'), 'utf8');
  const numbers = text
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { seq: number }).seq);
  expect(numbers, 'the job directory has caught up').toEqual(numbers.map((_, at) => at + 1));
  return isKilled;
}

const SUBMIT = ['submit', 'spec.json', '--job-id', 'j'];

/** What a person does after a crash: look whether the job is there, then resume it, or submit it again. */
async function finish(run: (args: readonly string[]) => Promise<Result>): Promise<void> {
  const { code, json } = await run(['status', 'j', '--json']);
  if (json?.status === 'completed') return; // the end was on record; what remained was telling
  const end = await run(code === 0 ? ['resume', 'j', '--takeover'] : SUBMIT);
  expect(end.code, end.stderr).toBe(0);
}

const PLACES = [
  'commit:before',
  'commit:after',
  'effect:intended',
  'effect:submitted',
  'effect:ended',
  'effect:recorded',
  'directory:before',
  'directory:after',
];

describe('I1 I5 W11 W12: kill -9 at', () => {
  for (const place of PLACES) {
    test(`every ${place}`, { timeout: 180_000 }, async ({ home, session }) => {
      let reached = 0;
      while (await survive(home, session, place, reached + 1)) reached += 1;
      expect(reached, `${place} is never reached: it is gone, or its name is wrong`).toBeGreaterThan(0);
    });
  }
});
