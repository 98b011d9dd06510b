/** The file beside a pack that holds its signatures (docs/jobpack.md, "Signatures"). */
import { stat } from 'node:fs/promises';
import { ReeveError } from '../model/errors.ts';
import type { SignatureEnvelope } from '../model/events.ts';
import type { JsonObject } from '../model/json.ts';
import { readEnvelopeText, says } from '../policy/dsse.ts';
import { readSmallFile } from '../policy/key-source.ts';
import { packStatement } from '../policy/statements.ts';
import { sha256 } from './hash.ts';
import { TEXT_BYTES_MAX } from './limits.ts';
import { MANIFEST } from './manifest.ts';
import { requireEntry } from './pack-reader.ts';
import type { WrittenPack } from './jobpack.ts';
import { ZipReader } from './zip-reader.ts';

export function sidecarPath(packPath: string): string {
  return `${packPath}.sig.json`;
}

/** What a signature of this pack has to say. Reads the whole file. */
export async function statementOf(
  { jobId, manifestSha256 }: Pick<WrittenPack, 'jobId' | 'manifestSha256'>,
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
 * @param isNamed by somebody, who may name a pipe; what only stands beside a pack is a plain file, lest nobody writes to it.
 * @returns undefined when there is no such file; what is wrong with it, or what it holds.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA when it cannot be read.
 */
export async function readSidecar(
  path: string,
  isNamed = false,
): Promise<{ readonly problem: string } | { readonly envelope: SignatureEnvelope } | undefined> {
  if (!isNamed && (await stat(path).catch(() => undefined))?.isFile() === false) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `the signature ${path} is not a file`, { path });
  }
  const file = await readSmallFile(path, 'the signature').catch((error: unknown) => {
    if ((error as { details?: { cause?: unknown } }).details?.cause === 'ENOENT') return undefined;
    throw error;
  });
  return file === undefined ? undefined : readEnvelopeText(file.text);
}

/** Whether what stands beside a pack is no signature of it as it is now. */
export async function isSidecarStale(pack: WrittenPack): Promise<boolean> {
  const found = await readSidecar(sidecarPath(pack.path)).catch(() => ({ problem: 'cannot be read' }));
  if (found === undefined || 'problem' in found) return found !== undefined;
  const reader = await ZipReader.open(pack.path);
  try {
    return !says(found.envelope, await statementOf(pack, reader));
  } finally {
    await reader.close();
  }
}
