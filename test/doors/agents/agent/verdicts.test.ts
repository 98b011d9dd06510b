// What an agent decides where its control plane has let a task pass: a real one, with all its parts (contract agents §5).
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AllowListEntry } from '../../../../src/policy/allow-list/schema.ts';
import { digestOfBytes, signApproval, textOf } from '../../../../src/policy/allow-list/sign.ts';
import { generatePrivateKey, privateKeyFrom } from '../../../../src/policy/keys.ts';
import { KEY, type Any } from '../control-rig.ts';
import {
  ended,
  listOf,
  packageOf,
  publishSkill,
  skillEntry,
  test,
  type Fleet,
  type RunningAgent,
} from './fleet-rig.ts';

const SKILL = { name: 'greet', version: '1.0.0' };
const STRANGER = privateKeyFrom(generatePrivateKey(), 'test');

/** Says with what it was run. A sandbox keeps it from leaving any other trace. */
function skillOf(manifest: object): Buffer {
  return packageOf('greet', 'console.log(process.argv.slice(2).join());', manifest);
}

const REVOKED: readonly (readonly [
  string,
  string,
  object,
  Partial<AllowListEntry>,
  Partial<AllowListEntry>,
])[] = [
  ['privileged', 'a secret is not granted any more', { env_refs: ['MINE'] }, { env_refs: ['MINE'] }, {}],
  [
    'args_invalid',
    'arguments may be less than before',
    { args: { who: 'Ada9' } },
    {},
    { args_schema: [{ name: 'who', type: 'string', pattern: '[a-z]+' }] },
  ],
  [
    'args_invalid',
    'arguments fit no schema any more',
    { args: { who: 'Ada9' } },
    {},
    { args_schema: { properties: { who: { maxLength: 3 } } } },
  ],
  ['expired', 'its entry has ended', {}, {}, { expires_at: '2026-01-02T00:00:00Z' }],
  ['not_listed', 'it is off the list', {}, {}, { version: '1.0.1' }],
];
test.for(REVOKED)(
  'J16 %s: %s since the task was queued',
  async ([reason, , about, before, after], { fleet }) => {
    const skill = skillOf({ args: [{ name: 'who', type: 'string' }] });
    const plane = await fleet.plane();
    await publishSkill(plane, 'greet', skill);
    await plane.publish('default', listOf([skillEntry('greet', skill, before)]));
    const id = await plane.task({ command: undefined, skill: SKILL, ...about });
    const list = listOf([skillEntry('greet', skill, after)], { serial: 3 });
    expect((await plane.publish('default', list)).status).toBe(200);
    const env = { ...process.env, JARVAS_ALLOW_ROOT: '1', MINE: 'value-of-this-machine' };
    const agent = await fleet.agent(plane, 'web-1', { env });
    const task = await ended(plane, id, 'refused');
    expect(task).toMatchObject({ attempt: 1, reason, result: { exit_code: 126, reason } });
    expect(await outputOf(agent, task)).toBe('');
    expect((await plane.ask('GET', '/metrics')).text).toContain(
      `jarvas_refusals_total{reason="${reason}"} 1`,
    );
    expect((await plane.ask('GET', '/audit?limit=500')).text).toContain(`"reason":"${reason}"`);
  },
);

const APPROVALS: readonly (readonly [string, string, object, typeof KEY])[] = [
  ['needs_approval', 'it is for another package', { digest: `sha256:${'0'.repeat(64)}` }, KEY],
  ['needs_approval', "it bears another person's name", { approver: 'bob' }, KEY],
  ['bad_signature', 'a stranger has signed it', {}, STRANGER],
  ['expired', 'it has ended', { expires_at: '2026-01-02T00:00:00Z' }, KEY],
];
test.for(APPROVALS)('J16 an approval, %s: %s', async ([reason, , about, key], { fleet }) => {
  const { output, task } = await destroys(fleet, about, key, 'refused');
  expect(task).toMatchObject({ attempt: 1, reason, result: { exit_code: 126, reason } });
  expect(output).toBe('');
});

test('J16 a destructive task runs once, after it was approved of', async ({ fleet }) => {
  const { output } = await destroys(fleet, {}, KEY, 'succeeded');
  expect(output).toBe('--apply\n');
});

/** A destructive task that waits until somebody leaves this approval for its agent. */
async function destroys(fleet: Fleet, about: object, key: typeof KEY, status: string) {
  const args = [{ name: 'apply', type: 'bool', default: false }];
  const skill = skillOf({ destructive: true, args });
  const plane = await fleet.plane();
  await publishSkill(plane, 'greet', skill);
  await plane.publish('default', listOf([skillEntry('greet', skill)]));
  const agent = await fleet.agent(plane, 'web-1');
  const id = await plane.task({ command: undefined, skill: SKILL, args: { apply: true } });
  expect((await plane.ask('GET', `/tasks/${id}`)).json).toMatchObject({
    status: 'queued',
    waits_for: 'approval',
  });
  const approval = {
    task_id: id,
    digest: digestOfBytes(skill),
    approver: 'ada',
    expires_at: '2099-01-01T00:00:00Z',
    ...about,
  };
  const left = await plane.ask('PUT', `/tasks/${id}/approval`, textOf(signApproval(approval, key)));
  expect(left.status).toBe(204);
  const task = await ended(plane, id, status);
  return { task, output: await outputOf(agent, task) };
}

async function outputOf({ runsDir }: RunningAgent, { run_id: runId }: Any): Promise<string> {
  return readFile(join(runsDir, runId, 'artifacts', 'output.raw'), 'utf8');
}
