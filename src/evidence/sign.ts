/** Adds a signature to the sidecar of a pack (docs/jobpack.md, "Signatures"). */
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { canonicalJson } from '../model/canonical.ts';
import { ReeveError } from '../model/errors.ts';
import { mergeSignatures, says, signStatement } from '../policy/dsse.ts';
import type { SigningKey } from '../policy/keys.ts';
import { WriterLock } from '../store/sqlite/writer-lock.ts';
import { outputError, writeFileAtomically } from './output-file.ts';
import { readSidecar, sidecarPath, statementOf } from './sidecar.ts';
import { withVerified, type Verified } from './verify.ts';
import { ZipReader } from './zip-reader.ts';

/** One for all packs of a directory. It stays, empty: were it removed, two could hold two files of that name. */
const LOCK = '.jobpack-sign.lock';
/** Whoever holds the lock verifies a pack, which may be big. */
const WAIT_MS = 60_000;
const POLL_MS = 10;

export interface SignedPack extends Verified {
  readonly sidecar: string;
  /** Key that signed now. */
  readonly keyId: string;
  /** All that have signed, in order. */
  readonly keyIds: readonly string[];
  /** Whether signatures of another state of the pack were dropped. */
  readonly replaced: boolean;
}

/**
 * Verifies the pack, then signs it. Signatures that others have made of it are kept, also those made at this moment.
 * @param expected hash of the manifest that is to be signed, where it is known.
 * @throws ReeveError E_VERIFY_HASH_MISMATCH, E_INVALID_INPUT_SCHEMA as `verifyJobpack`, or when what stands in the
 * sidecar's place is none; E_RUN_CHANGED when the pack is not the expected one; E_STORE_BUSY when somebody else is
 * signing for a minute; E_STORE_UNAVAILABLE, E_STORE_FULL.
 */
export async function signJobpack(path: string, key: SigningKey, expected?: string): Promise<SignedPack> {
  const sidecar = sidecarPath(path);
  const { keyId } = key.publicKey;
  await (await ZipReader.open(path)).close(); // what is no pack at all gets no lock file beside it
  return locked(dirname(path), async () => {
    const { verified, statement } = await withVerified(path, async (done, reader) => ({
      verified: done,
      statement: await statementOf(done, reader),
    }));
    if (expected !== undefined && verified.manifestSha256 !== expected) {
      throw new ReeveError('E_RUN_CHANGED', `${path} was replaced before it was signed`, {
        path,
        expected,
        actual: verified.manifestSha256,
      });
    }
    const mine = signStatement(statement, key);
    const found = await readSidecar(sidecar);
    if (found !== undefined && 'problem' in found) {
      throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${sidecar} ${found.problem}: move it away, then sign`, {
        path: sidecar,
        problem: found.problem,
      });
    }
    const isSame = found !== undefined && says(found.envelope, statement);
    const envelope = isSame ? mergeSignatures(found.envelope, mine) : mine;
    await writeFileAtomically(sidecar, (sink) => sink.write(Buffer.from(canonicalJson(envelope))));
    return {
      ...verified,
      sidecar,
      keyId,
      keyIds: envelope.signatures.map(({ keyid }) => keyid),
      replaced: found !== undefined && !isSame,
    };
  });
}

/** One at a time in a directory, in whatever processes they are. A holder that dies lets go. */
async function locked<T>(folder: string, act: () => Promise<T>): Promise<T> {
  const file = join(folder, LOCK);
  let lock: WriterLock | undefined;
  try {
    lock = new WriterLock(file);
    for (const until = performance.now() + WAIT_MS; !lock.tryAcquire(); await delay(POLL_MS)) {
      if (performance.now() >= until)
        throw new ReeveError('E_STORE_BUSY', `somebody else is signing in ${folder}`, { path: file });
    }
  } catch (error) {
    lock?.release();
    throw outputError(error, file);
  }
  try {
    return await act();
  } finally {
    lock.release();
  }
}
