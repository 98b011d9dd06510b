// Checkpoints, decisions and approvals (contract wrkr §c).
import { describe, expect } from 'vitest';
import { DECISION, ledger, until, type Home } from './rig.ts';
import { test } from './session.ts';

async function decisionOf(home: Home, jobId: string): Promise<string> {
  const open = (await home.checkpoints(jobId)).filter(({ type }) => type === 'decision-needed');
  return open.at(-1).checkpoint_id;
}

describe.concurrent('decisions', () => {
  test('W25 a decision with a summary of 2,100 characters still needs its approval', async ({ home }) => {
    const steps = [{ ...DECISION, summary: 'ä'.repeat(2100) }, ledger('after')];
    expect((await home.submit('j', steps)).json).toMatchObject({ status: 'blocked_decision' });
    expect(await home.fails(['resume', 'j'])).toMatchObject({ code: 'E_CHECKPOINT_APPROVAL_REQUIRED' });
    const { summary } = (await home.checkpoints('j')).at(-1);
    expect(Buffer.byteLength(summary)).toBeLessThanOrEqual(2000);
    expect(summary.isWellFormed()).toBe(true);
    expect(await home.lines('ledger')).toEqual([]);
    await home.json(['approve', 'j', '--checkpoint', await decisionOf(home, 'j'), '--reason', 'ok']);
    expect(await home.json(['resume', 'j'])).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toEqual(['after']);
  });

  test('W26 of two open decisions the approval of the newer one is not enough', async ({ session: home }) => {
    await home.submit('j', [DECISION, ledger('after')]);
    const older = await decisionOf(home, 'j');
    const emit = ['checkpoint', 'emit', 'j', '--type', 'decision-needed', '--summary', 'and this?'];
    const newer = await home.json([...emit, '--required-kind', 'approval']);
    expect(newer).toMatchObject({ type: 'decision-needed', status: 'blocked_decision' });
    await home.json(['approve', 'j', '--checkpoint', newer.checkpoint_id, '--reason', 'ok']);
    const error = await home.fails(['resume', 'j']);
    expect(error).toMatchObject({
      code: 'E_CHECKPOINT_APPROVAL_REQUIRED',
      details: { checkpoint_id: older },
    });
    await home.json(['approve', 'j', '--checkpoint', older, '--reason', 'ok']);
    expect(await home.json(['resume', 'j'])).toMatchObject({ status: 'completed' });
  });

  test('W27 approving twice succeeds twice and is recorded twice', async ({ home }) => {
    await home.submit('j', [DECISION]);
    const checkpoint = await decisionOf(home, 'j');
    for (const by of ['ann', 'bob']) {
      const words = [
        'approve',
        'j',
        '--checkpoint',
        checkpoint,
        '--reason',
        `so says ${by}`,
        '--approved-by',
        by,
      ];
      expect(await home.json(words)).toMatchObject({ approved_by: by });
    }
    const records = (await home.events('j')).filter(({ type }) => type === 'approval_recorded');
    expect(records.map(({ payload }) => payload.approved_by)).toEqual(['ann', 'bob']);
    expect(records[0].payload).toMatchObject({
      schema_id: 'wrkr.approval_record',
      checkpoint_id: checkpoint,
    });
  });

  test('W28 approving progress, what is unknown, cp_011, or without a reason is refused and records nothing', async ({
    session: home,
  }) => {
    await home.submit('j', [ledger('one'), DECISION]);
    const decision = await decisionOf(home, 'j');
    const progress = (await home.checkpoints('j')).find(({ type }) => type === 'progress').checkpoint_id;
    const before = await home.bytes('j');
    const padded = decision.replace('cp_', 'cp_0');
    for (const checkpoint of [
      progress,
      'cp_999',
      padded,
      'cp_0',
      'cp_-1',
      'cp_1',
      'cp_',
      'x',
      '',
      'cp_1e1',
      `${decision} `,
      'cp_99999999999999999999',
    ]) {
      const error = await home.fails(['approve', 'j', '--checkpoint', checkpoint, '--reason', 'ok']);
      expect(error, checkpoint).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
    }
    for (const reason of [[], ['--reason', ''], ['--reason', ' \t\n ']]) {
      const error = await home.fails(['approve', 'j', '--checkpoint', decision, ...reason]);
      expect(error).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
    }
    expect(await home.fails(['approve', 'j', '--reason', 'ok'])).toMatchObject({ exit_code: 6 });
    expect(await home.fails(['approve', 'nobody', '--checkpoint', decision, '--reason', 'ok'])).toMatchObject(
      { exit_code: 6 },
    );
    expect(await home.bytes('j')).toBe(before);
    expect(await home.fails(['resume', 'j'])).toMatchObject({ exit_code: 4 });
    for (const checkpoint of [padded, 'cp_1', 'cp_999', 'nonsense']) {
      expect(await home.fails(['checkpoint', 'show', 'j', checkpoint])).toMatchObject({ exit_code: 6 });
    }
  });

  test('W29 the approver: flag, then WRKR_APPROVED_BY, then USER, then unknown', async ({ home }) => {
    await home.submit('j', [DECISION]);
    const approve = ['approve', 'j', '--checkpoint', await decisionOf(home, 'j'), '--reason', 'ok'];
    const all = { WRKR_APPROVED_BY: 'variable', USER: 'user' };
    expect(await home.json([...approve, '--approved-by', 'flag'], { env: all })).toMatchObject({
      approved_by: 'flag',
    });
    expect(await home.json(approve, { env: all })).toMatchObject({ approved_by: 'variable' });
    expect(await home.json(approve, { env: { ...all, WRKR_APPROVED_BY: ' ' } })).toMatchObject({
      approved_by: 'user',
    });
    expect(await home.json(approve, { env: { USER: '' } })).toMatchObject({ approved_by: 'unknown' });
  });

  test('an approval with --binds is refused when the decision is about something else', async ({ home }) => {
    await home.submit('j', [DECISION]);
    const approve = ['approve', 'j', '--checkpoint', await decisionOf(home, 'j'), '--reason', 'ok'];
    const error = await home.fails([...approve, '--binds', '0'.repeat(64)]);
    expect(error.exit_code).not.toBe(0);
    expect(await home.fails(['resume', 'j'])).toMatchObject({ exit_code: 4 });
  });

  test('I8: reeve shows what a decision binds, and an approval of exactly that is taken', async ({
    home,
  }) => {
    const store = { env: { REEVE_HOME: home.store } };
    await home.submit('j', [DECISION]);
    const checkpoint = await decisionOf(home, 'j');
    const shown = await home.run(['checkpoint', 'show', 'j', checkpoint], { program: 'reeve', ...store });
    const [, binds = ''] = /^binds=([0-9a-f]{64})$/m.exec(shown.stdout) ?? [];
    const approve = ['approve', 'j', '--checkpoint', checkpoint, '--reason', 'ok', '--binds', binds];
    expect(await home.json(approve)).toMatchObject({ checkpoint_id: checkpoint });
  });
});

describe.concurrent('checkpoint emit', () => {
  test('W30 a summary of 2000 bytes passes, 2001 and none are refused; a decision needs its action', async ({
    session: home,
  }) => {
    await home.submit('j', [DECISION]);
    const emit = (summary: string, ...more: string[]) => [
      'checkpoint',
      'emit',
      'j',
      '--type',
      'progress',
      '--summary',
      summary,
      ...more,
    ];
    const exact = await home.json(emit(`${'ä'.repeat(999)}xy`));
    expect(Buffer.byteLength(exact.summary)).toBe(2000);
    expect((await home.json(emit(`  ${'x'.repeat(2000)}\n`))).summary).toBe('x'.repeat(2000));
    for (const summary of ['x'.repeat(2001), `${'ä'.repeat(1000)}x`, '', '   ', '\n']) {
      expect(await home.fails(emit(summary))).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
    }
    const decision = ['checkpoint', 'emit', 'j', '--type', 'decision-needed', '--summary', 'ship?'];
    expect(await home.fails(decision)).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA' });
    const asked = await home.json([
      ...decision,
      '--required-instructions',
      'look',
      '--reason-code',
      'A',
      '--reason-code',
      'B',
    ]);
    expect(asked).toMatchObject({ required_action: { instructions: 'look' }, reason_codes: ['A', 'B'] });
    expect((await home.status('j')).reason_codes).toEqual(['A', 'B']);
    for (const words of [
      ['--type', 'nonsense'],
      ['--status', 'nonsense'],
      ['--status', 'completed'],
      ['--status', 'running'],
    ]) {
      const error = await home.fails([...emit('x'), ...words]);
      expect(error, words.join(' ')).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
    }
    expect(await home.json(emit('x', '--status', 'blocked_decision'))).toMatchObject({
      status: 'blocked_decision',
    });
    expect(await home.fails(['checkpoint', 'emit', 'j', '--summary', 'x'])).toMatchObject({ exit_code: 6 });
  });

  test('W31 emit on a terminal job is refused', async ({ home }) => {
    await home.submit('j', [{}]);
    const before = await home.bytes('j');
    for (const type of ['progress', 'completed', 'plan', 'blocked']) {
      const error = await home.fails(['checkpoint', 'emit', 'j', '--type', type, '--summary', 'late']);
      expect(error, type).toMatchObject({ code: 'E_INVALID_STATE_TRANSITION', exit_code: 1 });
    }
    expect(await home.bytes('j')).toBe(before);
  });

  test('a decision emitted on a running job stops it until it is approved', async ({ home }) => {
    const worker = await home.submitting('j', [
      ledger('one', 'until [ -e go ]; do sleep 0.05; done'),
      ledger('two'),
    ]);
    await worker.until('the first step', async () => (await home.lines('ledger')).length === 1);
    const emitted = await home.json([
      'checkpoint',
      'emit',
      'j',
      '--type',
      'decision-needed',
      '--summary',
      'sure?',
      '--required-kind',
      'approval',
    ]);
    expect(emitted).toMatchObject({ status: 'blocked_decision' });
    await home.write('go', '');
    const { code, json } = await worker.ended;
    expect([code, json?.status]).toEqual([0, 'blocked_decision']);
    expect(await home.lines('ledger')).toEqual(['one']);
    expect(await home.fails(['resume', 'j'])).toMatchObject({
      exit_code: 4,
      details: { checkpoint_id: emitted.checkpoint_id },
    });
    await home.json(['approve', 'j', '--checkpoint', emitted.checkpoint_id, '--reason', 'sure']);
    expect(await home.json(['resume', 'j'])).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toEqual(['one', 'two']);
    await until(() => home.processes().length === 0, 'quiet');
  });
});
