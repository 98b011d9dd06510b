// Two verifiers written apart from each other, held to one answer: what one says of a pack, the other has to say too.
import { expect } from 'vitest';
import { verifyJobpack, type Verified } from '../../src/evidence/verify.ts';
import { ReeveError } from '../../src/model/errors.ts';
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
