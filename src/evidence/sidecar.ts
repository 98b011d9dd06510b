/** The file beside a pack that holds its signatures (docs/jobpack.md, "Signatures"). */
import type { SignatureEnvelope } from '../model/events.ts';
import type { JsonObject } from '../model/json.ts';
import { readEnvelopeText } from '../policy/dsse.ts';
import { readSmallFile } from '../policy/key-source.ts';
import { packStatement } from '../policy/statements.ts';
import { sha256 } from './hash.ts';
import { TEXT_BYTES_MAX } from './limits.ts';
import { MANIFEST } from './manifest.ts';
import { requireEntry } from './pack-reader.ts';
import type { Verified } from './verify.ts';
import type { ZipReader } from './zip-reader.ts';

export function sidecarPath(packPath: string): string {
  return `${packPath}.sig.json`;
}

/** What a signature of this pack has to say. Reads the whole file. */
export async function statementOf(
  { jobId, manifestSha256 }: Verified,
  reader: ZipReader,
): Promise<JsonObject> {
  const manifest = await reader.read(requireEntry(reader, MANIFEST), TEXT_BYTES_MAX);
  return packStatement({
    jobId,
    manifestSha256,
    manifestFileSha256: sha256(manifest),
    packSha256: await reader.sha256(),
  });
}

/**
 * @returns undefined when there is no such file; what is wrong with it, or what it holds.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA when it cannot be read.
 */
export async function readSidecar(
  path: string,
): Promise<{ readonly problem: string } | { readonly envelope: SignatureEnvelope } | undefined> {
  const file = await readSmallFile(path, 'the signature').catch((error: unknown) => {
    if ((error as { details?: { cause?: unknown } }).details?.cause === 'ENOENT') return undefined;
    throw error;
  });
  return file === undefined ? undefined : readEnvelopeText(file.text);
}
