// Keys, signatures and signed approvals through the real programs (contract wrkr §f, §j, W56).
import { spawnSync } from 'node:child_process';
import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { preAuthEncoding } from '../../src/policy/dsse.ts';
import { generatePrivateKey } from '../../src/policy/keys.ts';
import { DECISION, type Any, type Home } from './rig.ts';
import { test } from './session.ts';

const PACK = 'wrkr-out/jobpacks/jobpack_j.zip';
const SIDECAR = `${PACK}.sig.json`;

async function newKey(home: Home, name: string): Promise<string> {
  return (await home.json(['keys', 'generate', '--out', `${name}.pem`])).key_id;
}

/** A job `j` at a decision. @returns the decision's id. */
async function atDecision(home: Home): Promise<string> {
  await home.submit('j', [{ id: 'a', command: 'true' }, DECISION, { id: 'b' }]);
  return (await home.checkpoints('j')).at(-1).checkpoint_id;
}

async function trust(home: Home, names: Readonly<Record<string, string>>): Promise<void> {
  const keys = await Promise.all(
    Object.entries(names).map(async ([name, file]) => ({
      name,
      public_key: await home.read(`${file}.pem.pub`),
    })),
  );
  await home.write('team.json', JSON.stringify({ schema_id: 'reeve.trust', schema_version: 'v1', keys }));
}

describe.concurrent('keys', () => {
  test('generate makes a private file and a public one, and replaces neither unless told', async ({
    home,
  }) => {
    const made = await home.json(['keys', 'generate', '--out', 'keys/ada.pem']);
    expect(made).toEqual({
      key_id: expect.stringMatching(/^[0-9a-f]{64}$/),
      private_key_path: home.path('keys/ada.pem'),
      public_key_path: home.path('keys/ada.pem.pub'),
    });
    expect((await stat(home.path('keys/ada.pem'))).mode & 0o777).toBe(0o600);
    expect(await readdir(home.path('keys'))).toEqual(['ada.pem', 'ada.pem.pub']);
    const pem = await home.read('keys/ada.pem');
    expect(pem).toMatch(/^-{5}BEGIN PRIVATE KEY-{5}\n/);
    expect(await home.fails(['keys', 'generate', '--out', 'keys/ada.pem'])).toMatchObject({
      exit_code: 6,
      message: expect.stringContaining('--force'),
    });
    await rm(home.path('keys/ada.pem'));
    expect(await home.fails(['keys', 'generate', '--out', 'keys/ada.pem'])).toMatchObject({ exit_code: 6 });
    expect(await readdir(home.path('keys'))).toEqual(['ada.pem.pub']);
    const again = await home.json(['keys', 'generate', '--out', 'keys/ada.pem', '--force']);
    expect(again.key_id).not.toBe(made.key_id);
    expect(await home.fails(['keys', 'generate'])).toMatchObject({ exit_code: 6 });
  });

  test('show tells the id and the public part of either, from a file or from input, never the private one', async ({
    home,
  }) => {
    const key_id = await newKey(home, 'ada');
    const [secret, pem] = [await home.read('ada.pem'), await home.read('ada.pem.pub')];
    for (const result of [
      await home.run(['keys', 'show', 'ada.pem', '--json']),
      await home.run(['keys', 'show', 'ada.pem.pub', '--json']),
      await home.run(['keys', 'show', '-', '--json'], { input: secret }),
    ]) {
      expect(result.json).toEqual({ key_id, public_key: pem });
      expect(result.stdout + result.stderr).not.toContain(secret.split('\n')[1]);
    }
    expect((await home.run(['keys', 'show', 'ada.pem'])).stdout).toBe(`key_id=${key_id}\n${pem}`);
    for (const file of ['none.pem', '.', 'team.json']) {
      await home.write('team.json', '{}');
      expect(await home.fails(['keys', 'show', file])).toMatchObject({ exit_code: 6 });
    }
  });

  test('an encrypted key is made and used with its passphrase', async ({ home }) => {
    const env = { REEVE_SIGNING_KEY_PASSPHRASE: 'horse' };
    await home.json(['keys', 'generate', '--out', 'ada.pem'], { env });
    expect(await home.read('ada.pem')).toMatch(/^-{5}BEGIN ENCRYPTED PRIVATE KEY-{5}\n/);
    await home.submit('j', [{}]);
    await home.json(['export', 'j', '--key', 'ada.pem'], { env });
    await rm(home.path('wrkr-out'), { recursive: true });
    for (const wrong of [{}, { REEVE_SIGNING_KEY_PASSPHRASE: 'cow' }]) {
      const error = await home.fails(['export', 'j', '--key', 'ada.pem'], { env: wrong });
      expect(error).toMatchObject({ exit_code: 6, message: expect.stringMatching(/passphrase|PASSPHRASE/) });
    }
    expect(await readdir(home.cwd)).not.toContain('wrkr-out');
  });
});

describe.concurrent('signing packs', () => {
  test('W56 a good signature 0; edited, by another key, or missing with the flag 2', async ({
    session: home,
  }) => {
    const [ada] = await Promise.all([newKey(home, 'ada'), newKey(home, 'bob'), home.submit('j', [{}])]);
    const exported = await home.json(['export', 'j', '--sign', '--key', 'ada.pem']);
    expect(exported).toMatchObject({ signature_path: home.path(SIDECAR), key_id: ada });
    const verify = ['verify', 'j', '--require-signature', '--public-key'];
    const result = await home.json([...verify, 'ada.pem.pub']);
    expect(result).toEqual({
      job_id: 'j',
      manifest_sha256: exported.manifest_sha256,
      files_verified: 8,
      signatures: [{ key_id: ada, status: 'good' }],
      approvals: [],
    });
    expect((await home.run([...verify, 'ada.pem.pub'])).stdout).toMatch(
      new RegExp(`^verified job_id=j .*\nsignature=good key=${ada}\n$`),
    );
    const good = await home.read(SIDECAR);
    expect(await home.fails([...verify, 'bob.pem.pub'])).toMatchObject({
      code: 'E_VERIFY_HASH_MISMATCH',
      exit_code: 2,
    });
    const { signatures, ...envelope } = JSON.parse(good);
    const sig = Buffer.from(signatures[0].sig, 'base64');
    sig[5]! ^= 1;
    const edited = { ...envelope, signatures: [{ ...signatures[0], sig: sig.toString('base64') }] };
    for (const text of [JSON.stringify(edited), `${good}\n`, good.replace('eyJf', 'eyJg'), '', '{}']) {
      await home.write(SIDECAR, text);
      expect(await home.fails([...verify, 'ada.pem.pub']), text).toMatchObject({ exit_code: 2 });
    }
    await rm(home.path(SIDECAR));
    expect(await home.fails([...verify, 'ada.pem.pub'])).toMatchObject({ exit_code: 2 });
    expect((await home.run(['verify', 'j', '--public-key', 'ada.pem.pub'])).stdout).toContain(
      '\nsignature=none\n',
    );
    await home.write('elsewhere.json', good);
    await home.json([...verify, 'ada.pem.pub', '--signature', 'elsewhere.json']);
    // Without a key there is nothing to check it with, and without asking nothing is said of it.
    for (const words of [['--require-signature'], ['--require-signed-approvals'], ['--signature', SIDECAR]])
      expect(await home.fails(['verify', 'j', ...words])).toMatchObject({ exit_code: 6 });
    for (const file of ['none.pub', '.', 'ada.pem', SIDECAR])
      expect(await home.fails([...verify, file]), file).toMatchObject({ exit_code: 6 });
    expect(await home.fails(['verify', 'j', '--trust', 'ada.pem.pub'])).toMatchObject({ exit_code: 6 });
    expect(Object.keys(await home.json(['verify', 'j']))).toEqual([
      'job_id',
      'manifest_sha256',
      'files_verified',
    ]);
  });

  test('openssl says the same of a signature', async ({ home, skip }) => {
    skip(spawnSync('openssl', ['version']).status !== 0, 'there is no openssl here to ask');
    await Promise.all([newKey(home, 'ada'), home.submit('j', [{}])]);
    await home.json(['export', 'j', '--key', 'ada.pem']);
    const { payload, payloadType, signatures } = JSON.parse(await home.read(SIDECAR));
    const message = await home.write('message', preAuthEncoding(payloadType, Buffer.from(payload, 'base64')));
    const signature = await home.write('signature', Buffer.from(signatures[0].sig, 'base64'));
    const words = [
      'pkeyutl',
      '-verify',
      '-rawin',
      '-pubin',
      '-inkey',
      home.path('ada.pem.pub'),
      '-in',
      message,
    ];
    expect(spawnSync('openssl', [...words, '-sigfile', signature])).toMatchObject({ status: 0 });
    // And the other way round: a key that openssl made, in its own forms.
    const made = spawnSync(
      'openssl',
      ['genpkey', '-algorithm', 'ed25519', '-aes256', '-pass', 'pass:horse'],
      {
        encoding: 'utf8',
      },
    );
    await home.write('made.pem', made.stdout);
    const env = { REEVE_SIGNING_KEY_PASSPHRASE: 'horse' };
    const { key_id: keyId } = await home.json(['sign', 'j', '--key', 'made.pem'], { env });
    expect((await home.json(['keys', 'show', 'made.pem'], { env })).key_id).toBe(keyId);
  });

  test('sign adds to what others have signed, also at once, and drops what is about other bytes', async ({
    home,
  }) => {
    const names = ['ada', 'bob', 'cem', 'dan', 'eva'];
    await Promise.all([
      home.submit('j', [{ id: 'a' }, DECISION]),
      ...names.map((name) => newKey(home, name)),
    ]);
    await home.json(['export', 'j']);
    const results = await Promise.all(names.map((name) => home.json(['sign', PACK, '--key', `${name}.pem`])));
    const ids = results.map(({ key_id: id }): string => id);
    const keys = names.flatMap((name) => ['--public-key', `${name}.pem.pub`]);
    const { signatures } = await home.json(['verify', PACK, '--require-signature', ...keys]);
    expect(signatures.map((each: Any) => each.key_id)).toEqual(ids.toSorted());
    const again = await home.run(['sign', 'j', '--key', 'ada.pem']);
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toMatch(/^signed job_id=j key=[0-9a-f]{64} signatures=5\nsignature=/);
    expect((await home.run(['export', 'j'])).stderr).toBe('');
    await home.json(['cancel', 'j']);
    expect((await home.run(['export', 'j'])).stderr).toContain(
      `${SIDECAR} is about an earlier state of the pack`,
    );
    expect(await home.fails(['verify', 'j', ...keys])).toMatchObject({ exit_code: 2 });
    const replaced = await home.run(['sign', 'j', '--key', 'ada.pem', '--json']);
    expect(replaced).toMatchObject({ code: 0, json: { signed_by: [ids[0]] } });
    expect(replaced.stderr).toContain('were dropped');
  });

  test('export and wrap sign by themselves once the mode is set, and fail before they do anything without a key', async ({
    session: home,
  }) => {
    const mode = { WRKR_SIGNING_MODE: 'ed25519' };
    await Promise.all([newKey(home, 'ada'), home.submit('j', [{}])]);
    const text = (await home.read('ada.pem')).replaceAll('\n', String.raw`\n`);
    const bad: Record<string, string>[] = [
      {},
      { WRKR_SIGNING_KEY_SOURCE: 'kms' },
      { REEVE_SIGNING_KEY: 'nonsense' },
      { WRKR_SIGNING_KEY_SOURCE: 'file', WRKR_SIGNING_KEY_PATH: 'none.pem' },
    ];
    for (const env of bad) {
      for (const words of [
        ['export', 'j'],
        ['wrap', '--job-id', 'w', '--', 'touch', 'ran'],
        ['receipt', 'j'],
      ])
        expect(await home.fails(words, { env: { ...mode, ...env } })).toMatchObject({ exit_code: 6 });
    }
    expect(await readdir(home.cwd)).toEqual(['ada.pem', 'ada.pem.pub', 'j.json']);
    expect((await home.json(['list'])).jobs).toHaveLength(1);
    const env = { ...mode, WRKR_SIGNING_KEY_SOURCE: 'env', WRKR_SIGNING_KEY: text };
    await home.json(['export', 'j'], { env });
    const wrapped = await home.json(['wrap', '--job-id', 'w', '--', 'true'], { env });
    expect(wrapped).toMatchObject({ signature_path: `${wrapped.jobpack_path}.sig.json` });
    // I9: what the command prints is kept, and the key is not for it.
    const printed = await home.json(['wrap', '--job-id', 'p', '--', 'env'], { env });
    expect(printed.adapter_result.stdout).toContain('WRKR_SIGNING_MODE=ed25519');
    expect(printed.adapter_result.stdout).not.toContain('PRIVATE KEY');
    for (const job of ['j', 'w'])
      await home.json(['verify', job, '--require-signature', '--public-key', 'ada.pem.pub']);
    // A receipt writes the pack anew; it is the same, and stays signed.
    await home.json(['receipt', 'j'], { env });
    await home.json(['verify', 'j', '--require-signature', '--public-key', 'ada.pem.pub']);
    expect(await home.run(['export', 'j'], { env })).toMatchObject({
      stdout: expect.stringMatching(/^job_id=j\njobpack=.*\nfooter=WRKR .*\nsignature=.*\.sig\.json key=/),
    });
  });

  test('a key that others can read is warned of', async ({ home }) => {
    await Promise.all([newKey(home, 'ada'), home.submit('j', [{}])]);
    expect((await home.run(['export', 'j', '--key', 'ada.pem'])).stderr).toBe('');
    await chmod(home.path('ada.pem'), 0o644);
    const { code, stderr } = await home.run(['export', 'j', '--key', 'ada.pem']);
    expect([code, stderr]).toEqual([
      0,
      'warning: ada.pem holds a private key and can be read by others: chmod 600 it\n',
    ]);
  });
});

describe.concurrent('signed approvals', () => {
  test('approve --sign records a signature that the pack carries and verify checks', async ({
    session: home,
  }) => {
    const [ada] = await Promise.all([newKey(home, 'ada'), newKey(home, 'bob')]);
    const checkpoint = await atDecision(home);
    const words = [
      'approve',
      'j',
      '--checkpoint',
      checkpoint,
      '--approved-by',
      'Ada Lovelace',
      '--reason',
      ' read it ',
    ];
    const record = await home.json([...words, '--sign', '--key', 'ada.pem']);
    // The record of wrkr is closed: the signature is in the run's own event only.
    expect(Object.keys(record).toSorted()).toEqual([
      'approved_by',
      'checkpoint_id',
      'created_at',
      'job_id',
      'producer_version',
      'reason',
      'schema_id',
      'schema_version',
    ]);
    const line = (await home.events('j')).find(({ type }) => type === 'approval_recorded');
    expect(line.payload).toEqual(record);
    const shown = await home.run(['checkpoint', 'show', 'j', checkpoint], {
      program: 'reeve',
      env: { REEVE_HOME: home.store },
    });
    expect(shown.stdout).toContain(`\napproved_by=Ada Lovelace signed_by=${ada}\n`);
    const status = await home.run(['status', 'j'], { program: 'reeve', env: { REEVE_HOME: home.store } });
    expect(status.stdout).toContain('approved by Ada Lovelace (signed)');
    expect(await home.json(['resume', 'j'])).toMatchObject({ status: 'completed' });
    expect(await home.run(['store', 'check'])).toMatchObject({ code: 0 });
    await home.json(['export', 'j', '--key', 'bob.pem']);
    await trust(home, { 'Ada Lovelace': 'ada', Bob: 'bob' });
    const verify = [
      'verify',
      'j',
      '--require-signature',
      '--require-signed-approvals',
      '--trust',
      'team.json',
    ];
    expect((await home.json(verify)).approvals).toEqual([
      {
        checkpoint_id: checkpoint,
        approved_by: 'Ada Lovelace',
        key_id: ada,
        name: 'Ada Lovelace',
        status: 'good',
      },
    ]);
    expect((await home.run(verify)).stdout).toContain(
      `approval=good checkpoint=${checkpoint} by="Ada Lovelace" key=${ada} name="Ada Lovelace"\n`,
    );
    await trust(home, { 'Ada Byron': 'ada', Bob: 'bob' });
    expect(await home.fails(verify)).toMatchObject({
      exit_code: 2,
      details: { approved_by: 'Ada Lovelace' },
    });
    await trust(home, { Bob: 'bob' });
    expect(await home.fails(verify)).toMatchObject({ exit_code: 2 });
  });

  test('W27 an unsigned approval beside a signed one stays an unsigned one', async ({ session: home }) => {
    await newKey(home, 'ada');
    const checkpoint = await atDecision(home);
    const words = ['approve', 'j', '--checkpoint', checkpoint, '--reason', 'ok'];
    await home.json([...words, '--key', 'ada.pem']);
    await home.json(words);
    await home.json([...words, '--key', 'ada.pem']);
    await home.json(['export', 'j']);
    const verify = ['verify', 'j', '--public-key', 'ada.pem.pub'];
    const { approvals } = await home.json(verify);
    expect(approvals.map(({ status }: Any) => status)).toEqual(['good', 'unsigned', 'good']);
    expect(await home.fails([...verify, '--require-signed-approvals'])).toMatchObject({ exit_code: 2 });
  });

  test('W28 a signed approval that is refused records nothing; neither does one without its key', async ({
    session: home,
  }) => {
    await newKey(home, 'ada');
    const checkpoint = await atDecision(home);
    const before = await home.bytes('j');
    const approve = (...more: string[]): string[] => ['approve', 'j', '--key', 'ada.pem', ...more];
    for (const words of [
      approve('--checkpoint', 'cp_1', '--reason', 'ok'),
      approve('--checkpoint', checkpoint, '--reason', ' '),
      approve('--checkpoint', checkpoint, '--reason', 'ok', '--key', 'none.pem'),
    ])
      expect(await home.fails(words)).toMatchObject({ exit_code: 6 });
    const other = approve('--checkpoint', checkpoint, '--reason', 'ok', '--binds', 'a'.repeat(64));
    expect(await home.fails(other)).toMatchObject({ exit_code: 4 });
    expect(
      await home.fails(['approve', 'j', '--checkpoint', checkpoint, '--reason', 'ok', '--sign']),
    ).toMatchObject({
      exit_code: 6,
    });
    expect(await home.bytes('j')).toBe(before);
  });
});

describe.concurrent('doctor', () => {
  test('W72 loads the configured key and signs with it, and leaves no file', async ({ home }) => {
    const id = await newKey(home, 'ada');
    const check = async (env: Record<string, string>): Promise<Any> => {
      const words = ['doctor', '--production-readiness', '--json'];
      const { json } = await home.run(words, { env: { WRKR_SIGNING_MODE: 'ed25519', ...env } });
      return json.checks.find(({ name }: Any) => name === 'signing_key_source');
    };
    const file = { WRKR_SIGNING_KEY_SOURCE: 'file', WRKR_SIGNING_KEY_PATH: 'ada.pem' };
    expect(await check(file)).toMatchObject({ ok: true, details: `file key=${id}` });
    expect(await check({ WRKR_SIGNING_KEY_SOURCE: 'kms' })).toMatchObject({ ok: false });
    expect(await check({ ...file, WRKR_SIGNING_KEY_PATH: 'ada.pem.pub' })).toMatchObject({
      ok: false,
      details: expect.stringContaining('is a public key'),
    });
    await writeFile(home.path('e.pem'), generatePrivateKey('horse'));
    const encrypted = { ...file, WRKR_SIGNING_KEY_PATH: 'e.pem' };
    expect(await check(encrypted)).toMatchObject({ ok: false });
    expect(await check({ ...encrypted, REEVE_SIGNING_KEY_PASSPHRASE: 'horse' })).toMatchObject({
      ok: true,
      details: expect.stringContaining('can be read by others'),
    });
    expect(await readdir(home.cwd)).toEqual(['ada.pem', 'ada.pem.pub', 'e.pem']);
    expect((await readFile(home.path('ada.pem'), 'utf8')).length).toBeGreaterThan(0);
  });
});

describe.concurrent('signatures elsewhere', () => {
  test('acceptance in CI signs the pack it exports, once the mode is set', async ({ session: home }) => {
    const key_id = await newKey(home, 'ci');
    await home.submit('j', [{ id: 'a' }]);
    const env = { REEVE_SIGNING_MODE: 'ed25519', REEVE_SIGNING_KEY_PATH: home.path('ci.pem') };
    await home.run(['accept', 'run', 'j', '--ci', '--json'], { env });
    const verified = await home.json(['verify', 'j', '--require-signature', '--public-key', 'ci.pem.pub']);
    expect(verified.signatures).toEqual([{ key_id, status: 'good' }]);
  });

  test('report html names who signed, and makes no page of a pack that is not signed as asked', async ({
    session: home,
  }) => {
    await newKey(home, 'ada');
    await home.submit('j', [{ id: 'a' }]);
    await home.json(['export', 'j', '--key', 'ada.pem']);
    await trust(home, { 'Ada Lovelace': 'ada' });
    const { report } = await home.json([
      'report',
      'html',
      'j',
      '--trust',
      'team.json',
      '--require-signature',
    ]);
    expect(await readFile(report, 'utf8')).toContain('Ada Lovelace');
    await rm(report);
    await rm(home.path(SIDECAR));
    const args = ['report', 'html', 'j', '--trust', 'team.json', '--require-signature'];
    expect(await home.fails(args)).toMatchObject({ code: 'E_VERIFY_HASH_MISMATCH', exit_code: 2 });
    expect(await home.fails([...args, '--no-verify'])).toMatchObject({ exit_code: 6 });
    await expect(readFile(report)).rejects.toThrow('ENOENT');
  });
});
