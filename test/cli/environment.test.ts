// The environment a job was started in (contract wrkr §c, "Environment fingerprint").
import { createHash } from 'node:crypto';
import { describe, expect } from 'vitest';
import { DECISION, ledger, test, type Home } from './rig.ts';

async function approveAll(home: Home): Promise<void> {
  for (const { type, checkpoint_id: id } of await home.checkpoints('j'))
    if (type === 'decision-needed') await home.json(['approve', 'j', '--checkpoint', id, '--reason', 'ok']);
}

function hashOf(rules: readonly string[], values: Record<string, string>): string {
  return createHash('sha256').update(JSON.stringify({ rules, values })).digest('hex');
}

describe.concurrent('environment', () => {
  test('W22 a changed variable: exit 1, E_ENV_FINGERPRINT_MISMATCH, blocked_error; --force-env --reason moves the baseline', async ({
    home,
  }) => {
    const [one, two] = [{ env: { FOO: 'one' } }, { env: { FOO: 'two' } }];
    await home.submit('j', [DECISION, ledger('after')], { rules: ['env:FOO'] }, one);
    await approveAll(home);
    const error = await home.fails(['resume', 'j'], two);
    expect(error).toMatchObject({
      code: 'E_ENV_FINGERPRINT_MISMATCH',
      exit_code: 1,
      details: {
        expected_hash: hashOf(['env:FOO'], { 'env:FOO': 'one' }),
        actual_hash: hashOf(['env:FOO'], { 'env:FOO': 'two' }),
      },
    });
    expect(await home.status('j')).toMatchObject({
      status: 'blocked_error',
      reason_codes: ['E_ENV_FINGERPRINT_MISMATCH'],
    });
    expect((await home.checkpoints('j')).at(-1)).toMatchObject({
      type: 'blocked',
      reason_codes: ['E_ENV_FINGERPRINT_MISMATCH'],
    });
    expect(await home.lines('ledger')).toEqual([]);

    for (const words of [['--force-env'], ['--force-env', '--reason', '  ']])
      expect(await home.fails(['resume', 'j', ...words], two)).toMatchObject({
        code: 'E_INVALID_INPUT_SCHEMA',
        exit_code: 6,
      });
    const forced = ['resume', 'j', '--force-env', '--reason', 'new machine', '--approved-by', 'ann'];
    expect(await home.json(forced, two)).toMatchObject({ status: 'completed' });
    const override = (await home.events('j')).find(({ type }) => type === 'env_override_recorded');
    expect(override.payload).toMatchObject({
      approved_by: 'ann',
      reason: 'new machine',
      values: { 'env:FOO': 'two' },
      actual_hash: error.details.actual_hash,
      expected_hash: error.details.expected_hash,
    });
    expect((await home.status('j')).environment_hash).toBe(error.details.actual_hash);
  });

  test('W22 the same environment again ends the block without an override', async ({ home }) => {
    await home.submit(
      'j',
      [{ id: 'one', command: 'test -e repaired' }],
      { rules: ['env:FOO'] },
      { env: { FOO: 'one' } },
    );
    expect(await home.fails(['resume', 'j'], { env: { FOO: 'two' } })).toMatchObject({
      code: 'E_ENV_FINGERPRINT_MISMATCH',
    });
    await home.write('repaired', '');
    expect(await home.json(['resume', 'j'], { env: { FOO: 'one' } })).toMatchObject({ status: 'completed' });
  });

  test('W22 --force-env does not pass the approval gate', async ({ home }) => {
    await home.submit('j', [DECISION], { rules: ['env:FOO'] }, { env: { FOO: 'one' } });
    const before = await home.bytes('j');
    const error = await home.fails(['resume', 'j', '--force-env', '--reason', 'x'], { env: { FOO: 'two' } });
    expect(error).toMatchObject({ code: 'E_CHECKPOINT_APPROVAL_REQUIRED', exit_code: 4 });
    expect(await home.bytes('j'), 'the gate comes before the override').toBe(before);
  });

  test('W23 hashes in status: the vector of the contract, whatever the order and the duplicates', async ({
    home,
  }) => {
    for (const [id, rules] of [
      ['a', ['os', 'arch']],
      ['b', ['arch', ' os ', 'os', '  ', 'arch']],
    ] as const) {
      await home.submit(id, [{}], { rules });
      const { environment_hash: hash, environment_rules: known } = await home.status(id);
      expect(known).toEqual(['arch', 'os']);
      if (process.platform === 'linux' && process.arch === 'x64')
        expect(hash).toBe('65d92663b6648f3ac4ad9131b8c552699ef3696519faae2d6b6ddcc0bef77094');
    }
    await home.submit(
      'c',
      [{}],
      { rules: ['env:UNSET', 'cwd', 'env_sha256:SECRET', 'go_version'] },
      { env: { SECRET: 'hush' } },
    );
    const secret = createHash('sha256').update('hush').digest('hex');
    const rules = ['cwd', 'env:UNSET', 'env_sha256:SECRET', 'go_version'];
    const values = {
      cwd: home.cwd,
      'env:UNSET': '',
      'env_sha256:SECRET': secret,
      go_version: `node${process.versions.node}`,
    };
    expect((await home.status('c')).environment_hash).toBe(hashOf(rules, values));
    expect(await home.bytes('c')).not.toContain('hush');
  });

  test('W24 a resume from a wrong environment leaves the job of a live worker alone', async ({ home }) => {
    const step = ledger('one', 'until [ -e go ]; do sleep 0.05; done');
    const worker = await home.submitting(
      'j',
      [step, ledger('two')],
      { rules: ['env:FOO'] },
      { env: { FOO: 'one' } },
    );
    await worker.until('the first step', async () => (await home.lines('ledger')).length === 1);
    const before = await home.status('j');
    const error = await home.fails(['resume', 'j', '--takeover'], { env: { FOO: 'two' } });
    expect(error).toMatchObject({ code: 'E_LEASE_CONFLICT' });
    expect(await home.status('j')).toEqual({ ...before, lease: expect.anything() });
    await home.write('go', '');
    expect((await worker.ended).json).toMatchObject({ status: 'completed' });
    expect(await home.lines('ledger')).toEqual(['one', 'two']);
  });
});
