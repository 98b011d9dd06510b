// Two verifiers written apart from each other, held to one answer: what one says of a pack, the other has to say too.
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { verifySignedJobpack, type SignatureRules } from '../../src/evidence/signature.ts';
import { verifyJobpack, type Verified } from '../../src/evidence/verify.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { publicKeyFrom } from '../../src/policy/keys.ts';
import { trustFrom } from '../../src/policy/trust.ts';
import { Refusal, verify } from '../../verify.mjs';

/** Verifies with both. @throws ReeveError as `verifyJobpack` does; an assertion when `verify.mjs` says something else. */
export async function verifyBoth(path: string, what = ''): Promise<Verified> {
  const ours = await verifyJobpack(path).catch((error: unknown) => error);
  const theirs: unknown = await verify(path).catch((error: unknown) => error);
  if (ours instanceof Error) {
    if (!(ours instanceof ReeveError)) throw ours;
    const said = theirs instanceof Refusal ? theirs : undefined;
    const answer = said === undefined ? theirs : `${said.code} ${said.exitCode}`;
    expect(answer, `${what}: ours says ${ours.message}; verify.mjs says ${said?.message}`).toBe(
      `${ours.code} ${ours.exitCode}`,
    );
    throw ours;
  }
  const { jobId, manifestSha256, filesVerified } = ours as Verified;
  expect(theirs, what).toEqual({
    job_id: jobId,
    manifest_sha256: manifestSha256,
    files_verified: filesVerified,
  });
  return ours as Verified;
}

/** What verify.mjs is asked for, with the paths of keys and trust file. */
export interface Asked {
  readonly publicKeys?: readonly string[];
  readonly trust?: string;
  readonly requireSignature?: boolean;
  readonly requireSignedApprovals?: boolean;
  readonly signature?: string;
}

/** The same with keys, where both also tell who signed what. @returns the exit code of both. */
export async function signedAnswer(path: string, asked: Asked): Promise<number> {
  const ours = await verifySigned(path, asked).catch((error: unknown) => error);
  const theirs: unknown = await verify(path, asked).catch((error: unknown) => error);
  if (!(ours instanceof Error)) {
    expect(theirs).toEqual(ours);
    return 0;
  }
  if (!(ours instanceof ReeveError)) throw ours;
  const said = theirs instanceof Refusal ? theirs.exitCode : theirs;
  expect(said, `ours says ${ours.message}; theirs ${String(theirs)}`).toBe(ours.exitCode);
  return ours.exitCode;
}

/** As the result of `reeve verify`. */
async function verifySigned(path: string, { publicKeys = [], trust, signature, ...more }: Asked) {
  const rules: SignatureRules = {
    ...more,
    publicKeys: publicKeys.map((file) => publicKeyFrom(readFileSync(file, 'utf8'), file)),
    ...(trust === undefined ? {} : { trust: trustFrom(readFileSync(trust, 'utf8'), trust) }),
    ...(signature === undefined ? {} : { sidecar: signature }),
  };
  const signer = ({ keyId, ...rest }: { readonly keyId?: string }) => ({
    ...(keyId === undefined ? {} : { key_id: keyId }),
    ...rest,
  });
  const { jobId, manifestSha256, filesVerified, signatures, approvals } = await verifySignedJobpack(
    path,
    rules,
  );
  return {
    job_id: jobId,
    manifest_sha256: manifestSha256,
    files_verified: filesVerified,
    signatures: signatures.map(signer),
    approvals: approvals.map(({ checkpointId, approvedBy, ...rest }) => ({
      checkpoint_id: checkpointId,
      approved_by: approvedBy,
      ...signer(rest),
    })),
  };
}
