// Signatures beside packs and in approvals (docs/jobpack.md, "Signatures"). Whoever forges here can rehash everything and
// seal every chain anew; only the keys are not theirs.
import { spawnSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { signJobpack } from '../../src/evidence/sign.ts';
import { verifySignedJobpack, type SignatureRules } from '../../src/evidence/signature.ts';
import { verifyJobpack } from '../../src/evidence/verify.ts';
import { canonicalJson } from '../../src/model/canonical.ts';
import { ReeveError } from '../../src/model/errors.ts';
import type { SignatureEnvelope } from '../../src/model/events.ts';
import { preAuthEncoding, signStatement } from '../../src/policy/dsse.ts';
import { approvalStatement } from '../../src/policy/statements.ts';
import { newKey, testKey } from '../policy/support.ts';
import { PackJob } from './pack-job.ts';
import { filesIn, hash, referencePack, rehashed, test, write, type Any } from './support.ts';

const [ANN, BOB, EVE] = [testKey('1'), testKey('2'), testKey('3')];
const TRUST = [
  { name: 'ann', publicKey: ANN.publicKey },
  { name: 'bob', publicKey: BOB.publicKey },
];
const byAnn: SignatureRules = { publicKeys: [ANN.publicKey], requireSignature: true };

async function refused(path: string, rules: SignatureRules, exitCode: 2 | 6 = 2, what = ''): Promise<string> {
  const error = await verifySignedJobpack(path, rules).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error, what).toBeInstanceOf(ReeveError);
  expect((error as ReeveError).exitCode, `${what}: ${(error as ReeveError).message}`).toBe(exitCode);
  return (error as ReeveError).message;
}

/** A finished pack, signed by ann. */
async function signedPack(
  dir: string,
  job = new PackJob().toEnd(),
): Promise<{ path: string; sidecar: string }> {
  const { path } = await write(dir, job.source());
  const { sidecar } = await signJobpack(path, ANN);
  return { path, sidecar };
}

async function editSidecar(sidecar: string, edit: (envelope: Any) => void): Promise<void> {
  const envelope = JSON.parse(await readFile(sidecar, 'utf8'));
  edit(envelope);
  await writeFile(sidecar, canonicalJson(envelope));
}

/** Signs what an envelope says now, whatever that is. */
function sealed(payload: string, key = ANN): SignatureEnvelope {
  const type = 'application/vnd.in-toto+json';
  const sig = key.sign(preAuthEncoding(type, Buffer.from(payload))).toString('base64');
  const signatures = [{ keyid: key.publicKey.keyId, sig }];
  return { payload: Buffer.from(payload).toString('base64'), payloadType: type, signatures };
}

describe('signed packs', () => {
  test('W56 a good signature is good, an edited one, one by another key and a missing one are not', async ({
    dir,
  }) => {
    const { path, sidecar } = await signedPack(dir);
    expect(await verifySignedJobpack(path, byAnn)).toMatchObject({
      jobId: 'demo',
      signatures: [{ keyId: ANN.publicKey.keyId, status: 'good' }],
      approvals: [{ checkpointId: 'cp_11', approvedBy: 'ann', status: 'unsigned' }],
    });
    expect(await refused(path, { publicKeys: [BOB.publicKey] })).toContain(
      `no signature by key ${BOB.publicKey.keyId}`,
    );
    await editSidecar(
      sidecar,
      (envelope) => (envelope.signatures[0].sig = Buffer.alloc(64, 7).toString('base64')),
    );
    expect(await refused(path, byAnn)).toContain('is wrong');
    await rm(sidecar);
    expect(await refused(path, byAnn)).toContain('not signed');
    expect(await verifySignedJobpack(path, { ...byAnn, requireSignature: false })).toMatchObject({
      signatures: [],
    });
  });

  test('I10 the same pack and key give the same bytes; the statement is the one of the page', async ({
    dir,
  }) => {
    const { path, sidecar } = await signedPack(dir);
    const first = await readFile(sidecar, 'utf8');
    await rm(sidecar);
    await signJobpack(path, ANN);
    expect(await readFile(sidecar, 'utf8')).toBe(first);
    const pack = await readFile(path);
    const statement = JSON.parse(Buffer.from(JSON.parse(first).payload, 'base64').toString());
    expect(statement.subject).toEqual([
      { digest: { sha256: hash(pack) }, name: 'jobpack_demo.zip' },
      { digest: { sha256: hash(filesIn(pack).get('manifest.json') ?? '') }, name: 'manifest.json' },
    ]);
    const { manifestSha256 } = await verifyJobpack(path);
    expect(statement.predicate).toEqual({ job_id: 'demo', manifest_sha256: manifestSha256 });
  });

  test('several keys sign in any order, and each is asked for by itself or through a trust file', async ({
    dir,
  }) => {
    const { path, sidecar } = await signedPack(dir);
    expect(await signJobpack(path, BOB)).toMatchObject({ replaced: false });
    const both = await readFile(sidecar, 'utf8');
    await rm(sidecar);
    await signJobpack(path, BOB);
    await signJobpack(path, ANN);
    await signJobpack(path, ANN);
    expect(await readFile(sidecar, 'utf8')).toBe(both);
    const keys = [ANN.publicKey, BOB.publicKey];
    expect(JSON.parse(both).signatures.map((each: Any) => each.keyid)).toEqual(
      keys.map(({ keyId }) => keyId).toSorted(),
    );
    await verifySignedJobpack(path, { publicKeys: keys });
    await refused(path, { publicKeys: [...keys, EVE.publicKey] });
    const { signatures } = await verifySignedJobpack(path, { trust: TRUST.slice(1) });
    expect(signatures.toSorted((a, b) => a.status.localeCompare(b.status))).toEqual([
      { keyId: BOB.publicKey.keyId, name: 'bob', status: 'good' },
      { keyId: ANN.publicKey.keyId, status: 'unknown' },
    ]);
    expect(await refused(path, { trust: [{ name: 'eve', publicKey: EVE.publicKey }] })).toContain(
      'no signature by a trusted key',
    );
    // Both are asked for: the trusted one alone is not enough.
    await refused(path, { trust: TRUST, publicKeys: [EVE.publicKey] });
  });

  test('a wrong signature by a known key fails, whatever the others say; a wrong one by an unknown key does not', async ({
    dir,
  }) => {
    const { path, sidecar } = await signedPack(dir);
    await signJobpack(path, BOB);
    await editSidecar(sidecar, ({ signatures }) => {
      signatures.find((each: Any) => each.keyid === BOB.publicKey.keyId).sig =
        Buffer.alloc(64).toString('base64');
    });
    expect(await refused(path, { trust: TRUST })).toContain('the signature by bob');
    expect((await verifySignedJobpack(path, byAnn)).signatures).toHaveLength(2);
  });

  test.for([
    'a key id for another',
    'no newline',
    'a twin',
    'loose base64',
    'a field',
    'no signatures',
    'a list',
  ])('an envelope that was tampered with is refused: %s', async (what, { dir }) => {
    const { path, sidecar } = await signedPack(dir);
    const text = await readFile(sidecar, 'utf8');
    const edits: Record<string, (envelope: Any) => void> = {
      'a key id for another': ({ signatures }) => (signatures[0].keyid = BOB.publicKey.keyId),
      'a twin': ({ signatures }) => signatures.push(signatures[0]),
      'loose base64': ({ signatures }) => (signatures[0].sig = signatures[0].sig.replace('==', '')),
      'a field': (envelope) => (envelope.note = 'x'),
      'no signatures': (envelope) => (envelope.signatures = []),
    };
    const edit = edits[what];
    if (edit !== undefined) await editSidecar(sidecar, edit);
    else await writeFile(sidecar, what === 'a list' ? `[${text}]` : `${text}\n`);
    await refused(path, { trust: TRUST });
  });

  test('a payload that was swapped is refused, also when it is signed by a known key', async ({ dir }) => {
    const { path, sidecar } = await signedPack(dir);
    const statement = JSON.parse(
      Buffer.from(JSON.parse(await readFile(sidecar, 'utf8')).payload, 'base64').toString(),
    );
    const edits: ((claim: Any) => void)[] = [
      (claim) => (claim.predicate.job_id = 'other'),
      (claim) => (claim.predicate.manifest_sha256 = 'a'.repeat(64)),
      (claim) => (claim.predicateType = 'urn:reeve:approval:v1'),
      (claim) => (claim['_type'] = 'https://in-toto.io/Statement/v0.1'),
      (claim) => (claim.subject[0].digest.sha256 = 'a'.repeat(64)),
      (claim) => claim.subject.pop(),
      (claim) => (claim.subject[0].name = 'pack.zip'),
      (claim) => (claim.note = 'x'),
    ];
    for (const edit of edits) {
      const claim = structuredClone(statement);
      edit(claim);
      await writeFile(sidecar, canonicalJson(sealed(canonicalJson(claim))));
      expect(await refused(path, byAnn, 2, String(edit))).toContain('something else');
    }
    // The same statement in other bytes is another statement.
    await writeFile(sidecar, canonicalJson(sealed(JSON.stringify(statement, undefined, 1))));
    expect(await refused(path, byAnn)).toContain('something else');
    // The payload alone, with the signature of the right one.
    await signJobpack(path, ANN);
    await editSidecar(sidecar, (envelope) => (envelope.payload = sealed('{}').payload));
    await refused(path, byAnn);
  });

  test("another pack's sidecar is refused, also that of the same job a moment later", async ({ dir }) => {
    const job = new PackJob().toEnd();
    const { path } = await signedPack(dir, job);
    job.note('later');
    const later = await write(dir, job.source(), 'later.zip');
    await refused(later.path, { ...byAnn, sidecar: `${path}.sig.json` });
    const other = await write(dir, new PackJob('other').toEnd().source(), 'other.zip');
    await refused(other.path, { ...byAnn, sidecar: `${path}.sig.json` });
    // A forger's pack with all hashes right.
    const forged = filesIn(await readFile(path));
    await writeFile(path, rehashed(new Map(forged).set('reeve/note.json', '{}')));
    expect(await refused(path, byAnn)).toContain('something else');
  });

  test('the same entries in another archive are another pack', async ({ dir }) => {
    const { path } = await signedPack(dir);
    await writeFile(path, rehashed(filesIn(await readFile(path)), { entry: { method: 'deflated' } }));
    await verifyJobpack(path);
    await refused(path, byAnn);
  });

  test('without a key nothing can be asked; a sidecar that is named has to be there', async ({ dir }) => {
    const { path } = await signedPack(dir);
    await refused(path, { requireSignature: true }, 6);
    await refused(path, { requireSignedApprovals: true }, 6);
    const sidecar = join(dir, 'none');
    await refused(path, { publicKeys: [ANN.publicKey], sidecar }, 6);
    await refused(path, { ...byAnn, sidecar }, 2);
    await refused(path, { ...byAnn, sidecar: dir }, 6);
  });

  test('a pipe in the place of a sidecar holds nobody up', async ({ dir }) => {
    const { path, sidecar } = await signedPack(dir);
    await rm(sidecar);
    spawnSync('sh', ['-c', 'mkfifo "$1"', 'x', sidecar]);
    expect(await refused(path, { publicKeys: [ANN.publicKey] }, 6)).toContain('is not a file');
    await expect(signJobpack(path, ANN)).rejects.toMatchObject({ exitCode: 6 });
    const verifier = fileURLToPath(new URL('../../verify.mjs', import.meta.url));
    await writeFile(join(dir, 'ann.pub'), ANN.publicKey.pem);
    const child = spawnSync(process.execPath, [verifier, path, '--public-key', join(dir, 'ann.pub')], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect(child).toMatchObject({ status: 6, stderr: expect.stringContaining('is not a file') });
  });

  test('a broken pack is refused before its signature is looked at, and is not signed', async ({ dir }) => {
    const { path, sidecar } = await signedPack(dir);
    const bytes = await readFile(path);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(path, bytes);
    await rm(sidecar);
    expect(await refused(path, byAnn)).not.toContain('signed');
    await expect(signJobpack(path, ANN)).rejects.toThrow(ReeveError);
    await expect(readFile(sidecar)).rejects.toThrow('ENOENT');
  });

  test('packs of wrkr can be signed, too', async ({ dir }) => {
    const path = join(dir, 'jobpack_job_v.zip');
    await writeFile(path, referencePack());
    await signJobpack(path, ANN);
    expect(await verifySignedJobpack(path, byAnn)).toMatchObject({
      signatures: [{ status: 'good' }],
      approvals: [{ checkpointId: 'cp_4', approvedBy: 'ann', status: 'unsigned' }],
    });
    expect(await refused(path, { ...byAnn, requireSignedApprovals: true })).toContain(
      'not signed by a known key',
    );
  });
});

describe('signing', () => {
  test('of what changed since drops the signatures of what was, and says so; a file of another kind stays', async ({
    dir,
  }) => {
    const job = new PackJob().toEnd();
    const { path, sidecar } = await signedPack(dir, job);
    job.note('later');
    await write(dir, job.source());
    expect(await signJobpack(path, BOB)).toMatchObject({ replaced: true, keyIds: [BOB.publicKey.keyId] });
    await verifySignedJobpack(path, { publicKeys: [BOB.publicKey], requireSignature: true });
    await writeFile(sidecar, 'notes of mine');
    await expect(signJobpack(path, BOB)).rejects.toThrow('move it away');
    expect(await readFile(sidecar, 'utf8')).toBe('notes of mine');
  });

  test('a pack that is not the expected one is not signed', async ({ dir }) => {
    const { path, manifestSha256 } = await write(dir, new PackJob().toEnd().source());
    await expect(signJobpack(path, ANN, 'a'.repeat(64))).rejects.toMatchObject({ code: 'E_RUN_CHANGED' });
    await signJobpack(path, ANN, manifestSha256);
  });

  test('twelve people who sign at once all have signed', async ({ dir }) => {
    const { path } = await write(dir, new PackJob().toEnd().source());
    const keys = Array.from({ length: 12 }, newKey);
    await Promise.all(keys.map((key) => signJobpack(path, key)));
    const { signatures } = await verifySignedJobpack(path, {
      publicKeys: keys.map(({ publicKey }) => publicKey),
    });
    expect(signatures).toHaveLength(12);
  });
});

describe('signed approvals', () => {
  const trusted: SignatureRules = { trust: TRUST, requireSignedApprovals: true };

  test('are good, unknown or unsigned', async ({ dir }) => {
    const { path } = await write(dir, new PackJob().toEnd(ANN).source());
    await verifyJobpack(path);
    const approval = { checkpointId: 'cp_11', approvedBy: 'ann', keyId: ANN.publicKey.keyId };
    expect(await verifySignedJobpack(path, trusted)).toMatchObject({
      signatures: [],
      approvals: [{ ...approval, name: 'ann', status: 'good' }],
    });
    expect((await verifySignedJobpack(path, { publicKeys: [BOB.publicKey] })).approvals).toEqual([
      { ...approval, status: 'unknown' },
    ]);
    await refused(path, { publicKeys: [BOB.publicKey], requireSignedApprovals: true });
    const unsigned = await write(dir, new PackJob().toEnd().source(), 'unsigned.zip');
    expect(await refused(unsigned.path, trusted)).toContain('the approval of cp_11 by ann is not signed');
    await verifySignedJobpack(unsigned.path, { trust: TRUST });
  });

  test('one whose event is too big for a row of the store is found behind its hash', async ({ dir }) => {
    const reason = 'read every line of it. '.repeat(1000).trim();
    const job = new PackJob().toEnd().forgeApproval((approval) => {
      const claim = {
        jobId: 'demo',
        checkpointId: 'cp_11',
        approvedBy: 'ann',
        reason,
        binds: approval.binds,
      };
      return { ...approval, reason, signature: signStatement(approvalStatement(claim), ANN) };
    });
    const { path, bytes } = await write(dir, job.source());
    expect(filesIn(bytes).get('reeve/events.jsonl')).toContain('"spill":{');
    expect((await verifySignedJobpack(path, trusted)).approvals).toMatchObject([{ status: 'good' }]);
  });

  test('I8 one that says something else than its event is refused without any key', async ({ dir }) => {
    const honest = new PackJob().toEnd(ANN);
    const { event } = honest.events.find((each) => each.event.type === 'approval_recorded')!;
    if (event.type !== 'approval_recorded') throw new Error('no approval');
    const other = {
      jobId: 'demo',
      checkpointId: 'cp_11',
      approvedBy: 'ann',
      reason: 'read it',
      binds: event.binds,
    };
    const signed = (claim: Partial<typeof other>) =>
      signStatement(approvalStatement({ ...other, ...claim }), ANN);
    const moved: Record<string, SignatureEnvelope> = {
      'another job': signed({ jobId: 'demo2' }),
      'another checkpoint': signed({ checkpointId: 'cp_12' }),
      'another person': signed({ approvedBy: 'bob' }),
      'another reason': signed({ reason: 'did not read it' }),
      'other content': signed({ binds: 'a'.repeat(64) }),
      'a pack': sealed('{}'),
      'no signatures': { ...signed({}), signatures: [] },
    };
    for (const [what, signature] of Object.entries(moved)) {
      const forged = new PackJob().toEnd(ANN).forgeApproval((approval) => ({ ...approval, signature }));
      const { path } = await write(dir, forged.source());
      await expect(verifyJobpack(path), what).rejects.toMatchObject({ code: 'E_VERIFY_HASH_MISMATCH' });
    }
    const edits: [string, Partial<typeof event>][] = [
      ['person', { by: 'bob' }],
      ['reason', { reason: 'looks fine' }],
      ['content', { binds: 'a'.repeat(64) }],
      ['no content', { binds: '' }],
    ];
    for (const [what, edit] of edits) {
      const forged = new PackJob().toEnd(ANN).forgeApproval((approval) => ({ ...approval, ...edit }));
      const { path } = await write(dir, forged.source());
      await expect(verifyJobpack(path), what).rejects.toMatchObject({ code: 'E_VERIFY_HASH_MISMATCH' });
    }
    // An approval of nothing at all, truly signed.
    const empty = new PackJob()
      .toEnd()
      .forgeApproval((approval) => ({ ...approval, binds: '', signature: signed({ binds: '' }) }));
    const { path: emptyPath } = await write(dir, empty.source());
    await expect(verifyJobpack(emptyPath)).rejects.toMatchObject({ code: 'E_VERIFY_HASH_MISMATCH' });
    // Another job in all else equal, with the approval of this one.
    const target = new PackJob('demo2')
      .toEnd()
      .forgeApproval((approval) => ({ ...approval, signature: event.signature! }));
    const { path } = await write(dir, target.source());
    await expect(verifyJobpack(path)).rejects.toMatchObject({ code: 'E_VERIFY_HASH_MISMATCH' });
  });

  test('one that a known key did not make is refused, also beside a good signature of the pack', async ({
    dir,
  }) => {
    const forged = new PackJob().toEnd(EVE).forgeApproval((approval) => {
      const { signature } = approval;
      const [made] = signature!.signatures;
      return {
        ...approval,
        signature: { ...signature!, signatures: [{ ...made!, keyid: ANN.publicKey.keyId }] },
      };
    });
    const { path } = await signedPack(dir, forged);
    expect(await refused(path, { trust: TRUST })).toContain('the signature by ann');
    expect(await refused(path, byAnn)).toContain('is wrong');
    await verifySignedJobpack(path, { publicKeys: [BOB.publicKey], sidecar: join(dir, 'x') }).catch(
      () => undefined,
    );
  });

  test('with a trust file, the person who approved is the one whose key it is', async ({ dir }) => {
    // Bob signs, truly, that ann approved.
    const { path } = await write(dir, new PackJob().toEnd(BOB).source());
    expect(await refused(path, { trust: TRUST })).toContain('is signed with the key of bob');
    expect((await verifySignedJobpack(path, { publicKeys: [BOB.publicKey] })).approvals).toMatchObject([
      { status: 'good' },
    ]);
    // A key without a name does not stand in for one.
    await refused(path, { publicKeys: [BOB.publicKey], trust: TRUST.slice(0, 1) });
  });
});
