// verify.mjs as an auditor runs it: a file by itself, on packs of every kind, with the keys that are known.
import { spawnSync } from 'node:child_process';
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import type { ReeveError } from '../../src/model/errors.ts';
import { verify } from '../../verify.mjs';
import { DECISION, test as cliTest, type Any } from '../cli/rig.ts';
import { signedAnswer, verifyBoth, type Asked } from './both.ts';
import { filesIn, finishedPack, hash, jcs, referencePack, rehashed, test, type Files } from './support.ts';
import { rechained } from './tamper-cases.ts';

const SCRIPT = fileURLToPath(new URL('../../verify.mjs', import.meta.url));

/** Runs a copy that stands alone, from another directory. */
function run(dir: string, ...args: string[]): { code: number | null; stdout: string; stderr: string } {
  copyFileSync(SCRIPT, join(dir, 'verify.mjs'));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['verify.mjs', ...args], {
    cwd: dir,
    encoding: 'utf8',
  });
  return { code: status, stdout, stderr };
}

describe('the program', () => {
  test('it prints one line, or a result for programs', async ({ dir }) => {
    await writeFile(join(dir, 'p.zip'), referencePack());
    const manifest = JSON.parse(filesIn(referencePack()).get('manifest.json') ?? '').manifest_sha256;
    expect(run(dir, 'p.zip')).toEqual({
      code: 0,
      stdout: `verified job_id=job_v manifest=sha256:${manifest} files=6\n`,
      stderr: '',
    });
    const { code, stdout } = run(dir, 'p.zip', '--json');
    expect({ code, ...JSON.parse(stdout) }).toEqual({
      code: 0,
      job_id: 'job_v',
      manifest_sha256: manifest,
      files_verified: 6,
    });
  });

  test('it says what is wrong in one line, with 2 or 6, and nothing on the terminal is drawn by a pack', async ({
    dir,
  }) => {
    const bad = rehashed(new Map(filesIn(referencePack())).set('\u001b[31m', ''));
    await writeFile(join(dir, 'bad.zip'), bad);
    const refused = run(dir, 'bad.zip');
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/^E_VERIFY_HASH_MISMATCH: .*\n$/);
    expect(refused.stderr).not.toContain('\u001b');
    expect(JSON.parse(run(dir, '--json', 'bad.zip').stderr)).toMatchObject({
      code: 'E_VERIFY_HASH_MISMATCH',
    });
    for (const args of [[], ['none.zip'], ['.'], ['a', 'b'], ['bad.zip', '--what'], ['bad.zip', '--trust']]) {
      const wrong = run(dir, ...args);
      expect(wrong, args.join(' ')).toMatchObject({ code: 6, stdout: '' });
      expect(wrong.stderr).toMatch(/^E_INVALID_INPUT_SCHEMA: /);
    }
  });
});

describe('packs of every kind', () => {
  cliTest('jobs with decisions, raw capture, cancelled, wrapped, imported', async ({ home }) => {
    const artifact = './r ä//日本.txt';
    const steps = [
      { id: 'make', command: `mkdir -p 'r ä' && echo hi > 'r ä/日本.txt'`, artifacts: [artifact] },
      { id: 'big', command: `head -c 40000 /dev/zero | tr '\\0' x` },
      DECISION,
    ];
    await home.submit('job', steps);
    const [decision] = (await home.checkpoints('job')).filter((each) => each.type === 'decision-needed');
    await home.json([
      'approve',
      'job',
      '--checkpoint',
      decision.checkpoint_id,
      '--reason',
      'gelesen \u{1f600}',
    ]);
    await home.json(['resume', 'job']);
    await home.json(['export', 'job', '--out-dir', 'raw', '--capture', 'raw', '--unsafe-raw-capture']);
    await home.submit('stopped', steps);
    await home.json(['cancel', 'stopped']);
    await home.run(['wrap', '--job-id', 'wrapped', '--', 'sh', '-c', 'exit 3']);
    await cp(new URL('../fixtures/reference-store/jobs/', import.meta.url), join(home.store, 'jobs'), {
      recursive: true,
    });
    const ids = ['job', 'stopped', 'wrapped', 'demo_blocked', 'demo_completed', 'demo_torn', 'demo_bypassed'];
    for (const id of ids) {
      await home.json(['export', id]);
      await verifyBoth(home.path(`wrkr-out/jobpacks/jobpack_${id}.zip`), id);
    }
    const raw = home.path('raw/jobpacks/jobpack_job.zip');
    expect([...filesIn(await readFile(raw)).keys()]).toContain('artifacts/r ä/日本.txt');
    await verifyBoth(raw);
  });
});

interface Key {
  readonly id: string;
  readonly pem: string;
  readonly secret: KeyObject;
}

function newKey(): Key {
  const { publicKey, privateKey: secret } = generateKeyPairSync('ed25519');
  const id = hash(publicKey.export({ type: 'spki', format: 'der' }));
  return { id, pem: publicKey.export({ type: 'spki', format: 'pem' }) as string, secret };
}

const [ANN, BOB, EVE] = [newKey(), newKey(), newKey()];
const TYPE = 'application/vnd.in-toto+json';

/** An envelope as the page describes it. */
function envelope(statement: object, ...keys: readonly Key[]): Any {
  const payload = Buffer.from(jcs({ _type: 'https://in-toto.io/Statement/v1', ...statement }));
  const message = Buffer.concat([Buffer.from(`DSSEv1 ${TYPE.length} ${TYPE} ${payload.length} `), payload]);
  const signatures = keys
    .map(({ id, secret }) => ({ keyid: id, sig: sign(null, message, secret).toString('base64') }))
    .toSorted((a, b) => (a.keyid < b.keyid ? -1 : 1));
  return { payload: payload.toString('base64'), payloadType: TYPE, signatures };
}

function packStatement(pack: Buffer): Any {
  const manifest = filesIn(pack).get('manifest.json') ?? '';
  const { job_id, manifest_sha256 } = JSON.parse(manifest);
  return {
    predicateType: 'urn:reeve:jobpack:v1',
    predicate: { job_id, manifest_sha256 },
    subject: [
      { digest: { sha256: createHash('sha256').update(pack).digest('hex') }, name: `jobpack_${job_id}.zip` },
      { digest: { sha256: hash(manifest) }, name: 'manifest.json' },
    ],
  };
}

/** A pack whose approval by ann carries a signature. */
const signedApproval =
  (edit: (event: Any, about: Any) => Any): ((files: Files) => Files) =>
  (files) =>
    rechained((links) => {
      const { event } = links.find(({ body }) => body.event.type === 'approval_recorded').body;
      const id = `cp_${event.checkpoint}`;
      event.binds = 'b'.repeat(64);
      event.signature = edit(event, {
        predicateType: 'urn:reeve:approval:v1',
        predicate: { approved_by: event.by, checkpoint_id: id, job_id: 'demo', reason: event.reason },
        subject: [{ digest: { sha256: event.binds }, name: `demo/${id}` }],
      });
      return links;
    })(files);

/** Of both verifiers; without any key there is nothing to tell of signatures. */
async function answer(path: string, options: Asked): Promise<number> {
  if (Object.keys(options).length > 0) return signedAnswer(path, options);
  return verifyBoth(path).then(
    () => 0,
    (error: ReeveError) => error.exitCode,
  );
}

describe('signatures', () => {
  test('W56 of the pack: by whom, of what, in which form', async ({ dir }) => {
    const path = join(dir, 'p.zip');
    const [ann, bob, eve, trust] = ['ann', 'bob', 'eve', 'trust'].map((name) => join(dir, name)) as Any;
    for (const [file, { pem }] of [
      [ann, ANN],
      [bob, BOB],
      [eve, EVE],
    ])
      await writeFile(file, pem);
    const entries = [
      { name: 'ann', public_key: ANN.pem },
      { name: 'bob', public_key: BOB.pem },
    ];
    const trusting = (keys: Any): string =>
      JSON.stringify({ schema_id: 'reeve.trust', schema_version: 'v1', keys });
    await writeFile(trust, trusting(entries));
    const pack = await finishedPack(dir);
    await writeFile(path, pack);
    const about = packStatement(pack);
    const sidecar = async (value: Any): Promise<void> =>
      writeFile(`${path}.sig.json`, typeof value === 'string' ? value : jcs(value));

    expect(await answer(path, { publicKeys: [ann] })).toBe(0);
    expect(await answer(path, { publicKeys: [ann], requireSignature: true })).toBe(2);
    expect(await answer(path, { requireSignature: true })).toBe(6);
    expect(await answer(path, { requireSignedApprovals: true })).toBe(6);
    expect(await answer(path, { publicKeys: [ann], signature: join(dir, 'none') })).toBe(6);
    expect(await answer(path, { publicKeys: [path] })).toBe(6);
    const unreadable: readonly [string, string][] = [
      ['no list', trusting('x')],
      ['no keys', trusting([])],
      ['a key twice', trusting([...entries, entries[0]])],
      ['a key of nobody', trusting([{ name: '', public_key: ANN.pem }])],
      ['white space around a name', trusting([{ name: 'ann ', public_key: ANN.pem }])],
      ['two keys in one', trusting([{ name: 'ann', public_key: ANN.pem + EVE.pem }])],
      ['a name twice', trusting(entries).replace('{"name":"ann"', '{"name":"eve","name":"ann"')],
      ['the keys twice', trusting(entries).replace('"keys":', '"keys":[],"keys":')],
      ['half a character', trusting(entries).replace('"ann"', String.raw`"\ud800"`)],
    ];
    for (const [what, text] of unreadable) {
      await writeFile(join(dir, 'bad'), text);
      expect(await answer(path, { trust: join(dir, 'bad') }), what).toBe(6);
    }
    // Of two keys in a file only one would be looked at.
    await writeFile(join(dir, 'bad'), ANN.pem + BOB.pem);
    expect(await answer(path, { publicKeys: [join(dir, 'bad')] })).toBe(6);

    await sidecar(envelope(about, ANN, EVE));
    expect(await verify(path, { publicKeys: [ann], requireSignature: true })).toMatchObject({
      signatures: expect.arrayContaining([
        { key_id: ANN.id, status: 'good' },
        { key_id: EVE.id, status: 'unknown' },
      ]),
    });
    expect(run(dir, 'p.zip', '--trust', 'trust').stdout).toContain(
      `signature=good key=${ANN.id} name="ann"\n`,
    );
    expect(await answer(path, { publicKeys: [ann, eve] })).toBe(0);
    expect(await answer(path, { publicKeys: [ann, bob] })).toBe(2);
    expect(await answer(path, { trust })).toBe(0);
    expect(await answer(path, { trust, publicKeys: [eve] })).toBe(0);
    expect(await answer(path, { trust, publicKeys: [bob] })).toBe(2);
    await sidecar(envelope(about, EVE));
    expect(await answer(path, { trust })).toBe(2);
    expect(await answer(path, { trust, publicKeys: [eve] })).toBe(2);
    expect(await answer(path, {})).toBe(0);

    const good = envelope(about, ANN, BOB);
    const [first, second] = good.signatures;
    const zeros = { ...first, sig: Buffer.alloc(64).toString('base64') };
    const wrong: [string, Any][] = [
      ['no JSON', '{'],
      ['a space', `${jcs(good)}\n`],
      ['another field', { ...good, x: 1 }],
      ['another type', { ...good, payloadType: 'text/plain' }],
      ['nobody', { ...good, signatures: [] }],
      ['twice', { ...good, signatures: [first, first] }],
      ['another order', { ...good, signatures: [second, first] }],
      ['one of two wrong', { ...good, signatures: [zeros, second] }],
      ['loose base64', { ...good, signatures: [{ ...first, sig: ` ${first.sig}` }, second] }],
      ['a key id in capitals', { ...good, signatures: [{ ...first, keyid: first.keyid.toUpperCase() }] }],
      ['another job', envelope({ ...about, predicate: { ...about.predicate, job_id: 'x' } }, ANN, BOB)],
      ['another predicate', envelope({ ...about, predicateType: 'urn:reeve:jobpack:v2' }, ANN, BOB)],
      ['less of it', envelope({ ...about, subject: about.subject.slice(1) }, ANN, BOB)],
      ['more of it', envelope({ ...about, x: 1 }, ANN, BOB)],
    ];
    for (const [what, value] of wrong) {
      await sidecar(value);
      expect(await answer(path, { publicKeys: [ann, bob] }), what).toBe(2);
      expect(await answer(path, { trust }), what).toBe(2);
    }
    await sidecar(good);
    // Somebody who changes the pack and hashes it again has no key.
    await writeFile(path, rehashed(filesIn(pack), { change: (m) => (m['producer_version'] = 'x') }));
    expect(await answer(path, {})).toBe(0);
    expect(await answer(path, { trust })).toBe(2);
  });

  test('of approvals: what they say, and that they are of the person they name', async ({ dir }) => {
    const path = join(dir, 'p.zip');
    const [ann, eve, trust] = ['ann', 'eve', 'trust'].map((name) => join(dir, name)) as Any;
    await writeFile(ann, ANN.pem);
    await writeFile(eve, EVE.pem);
    const keys = [
      { name: 'ann', public_key: ANN.pem },
      { name: 'bob', public_key: BOB.pem },
    ];
    await writeFile(trust, JSON.stringify({ schema_id: 'reeve.trust', schema_version: 'v1', keys }));
    const files = filesIn(await finishedPack(dir));
    const all = { trust, requireSignedApprovals: true };
    const said = async (edit: (event: Any, about: Any) => Any, options: Any): Promise<number> => {
      await writeFile(path, rehashed(signedApproval(edit)(files)));
      return answer(path, options);
    };
    const by =
      (...signers: Key[]) =>
      (_: Any, about: Any): Any =>
        envelope(about, ...signers);
    expect(await said(by(ANN), all)).toBe(0);
    const found = await verify(path, { trust });
    expect(found.approvals).toEqual([
      { checkpoint_id: 'cp_11', approved_by: 'ann', status: 'good', key_id: ANN.id, name: 'ann' },
    ]);
    expect(run(dir, 'p.zip', '--trust', 'trust').stdout).toContain(
      `signature=none\napproval=good checkpoint=cp_11 by="ann" key=${ANN.id} name="ann"\n`,
    );
    expect(await said(by(ANN, EVE), all)).toBe(0);
    expect(await said(by(ANN), { publicKeys: [ann], requireSignedApprovals: true })).toBe(0);
    expect(await said(by(ANN), { publicKeys: [eve], requireSignedApprovals: true })).toBe(2);
    expect(await said(by(EVE), all)).toBe(2);
    expect(await said(by(EVE), { trust })).toBe(0);
    expect(await said(by(BOB), { trust })).toBe(2);
    expect(await said(by(ANN, BOB), { trust })).toBe(2);
    expect(await said(() => undefined, { trust })).toBe(0);
    expect(await said(() => undefined, all)).toBe(2);
    // Without any key it is only seen whether they speak of the approval.
    const zeros = (_: Any, about: Any): Any => {
      const signed = envelope(about, ANN);
      signed.signatures[0].sig = Buffer.alloc(64).toString('base64');
      return signed;
    };
    expect(await said(zeros, {})).toBe(0);
    expect(await said(zeros, { trust })).toBe(2);
    const others: [string, (about: Any) => void][] = [
      ['another person', (about) => (about.predicate.approved_by = 'bob')],
      ['another reason', (about) => (about.predicate.reason = 'x')],
      ['another decision', (about) => (about.predicate.checkpoint_id = 'cp_1')],
      ['another content', (about) => (about.subject[0].digest.sha256 = 'c'.repeat(64))],
    ];
    for (const [what, edit] of others) {
      const other = (_: Any, about: Any): Any => {
        edit(about);
        return envelope(about, ANN);
      };
      expect(await said(other, {}), what).toBe(2);
    }
    expect(await said(() => ({}), {})).toBe(2);
    expect(await said((event, about) => ((event.binds = 'x'), envelope(about, ANN)), {})).toBe(2);
    // The reference's packs hold no chain, so no signatures.
    await writeFile(path, referencePack());
    expect(await answer(path, all)).toBe(2);
    await writeFile(path, referencePack({ approvals: false }));
    expect(await answer(path, all)).toBe(0);
  });
});
