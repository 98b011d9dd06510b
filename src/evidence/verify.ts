/**
 * Verifies a pack offline (contract wrkr §f, "Verify"): needs nothing but the file, and believes nothing in it. Failures
 * come in the order of the contract, whichever is met first: archive, manifest, hashes, undeclared entries, schemas,
 * and then what only the documents together show.
 */
import { createHash } from 'node:crypto';
import type { JsonObject } from '../model/json.ts';
import type { OnApproval } from './approvals.ts';
import { artifactEntry, referenceHash } from './artifacts.ts';
import { readEnd } from './chain-check.ts';
import { nameProblem } from './entry-names.ts';
import { Findings, RANK, requireJob } from './findings.ts';
import { LinesCheck } from './lines-check.ts';
import { MANIFEST, manifestHash, type Manifest } from './manifest.ts';
import { mismatch, readDocument, readManifest, requireEntry } from './pack-reader.ts';
import { ZipReader } from './zip-reader.ts';

export interface Verified {
  readonly jobId: string;
  readonly manifestSha256: string;
  readonly filesVerified: number;
}

const REQUIRED = ['job.json', 'events.jsonl', 'checkpoints.jsonl', 'artifacts_manifest.json'] as const;
const ACCEPT_RESULT = 'accept/accept_result.json';

/**
 * @throws ReeveError E_VERIFY_HASH_MISMATCH: the pack is not what it was; E_INVALID_INPUT_SCHEMA: there is no such file,
 * or a document in it does not fit its schema.
 */
export function verifyJobpack(path: string): Promise<Verified> {
  return withVerified(path, async (verified) => verified);
}

/**
 * Verifies a pack and goes on with it while it is open: what `use` reads is of the very file that was verified.
 * @param onApproval told of each approval, in order, before it is known whether the pack as a whole is right.
 */
export async function withVerified<T>(
  path: string,
  use: (verified: Verified, reader: ZipReader) => Promise<T>,
  onApproval?: OnApproval,
): Promise<T> {
  const reader = await ZipReader.open(path);
  try {
    const verified = await verify(reader, onApproval);
    return await use(verified, reader);
  } finally {
    await reader.close();
  }
}

async function verify(reader: ZipReader, onApproval: OnApproval | undefined): Promise<Verified> {
  const manifest = await readManifest(reader);
  const recomputed = manifestHash(manifest);
  if (recomputed !== manifest.manifest_sha256) {
    throw mismatch('the manifest is not what was hashed', {
      path: MANIFEST,
      expected: recomputed,
      actual: manifest.manifest_sha256,
    });
  }
  const hashes = await checkFiles(reader, manifest);
  await checkDocuments(reader, manifest.job_id, hashes, onApproval);
  return {
    jobId: manifest.job_id,
    manifestSha256: manifest.manifest_sha256,
    filesVerified: manifest.files.length,
  };
}

/** Every listed file is there and has its hash; nothing else is there. @returns the hashes, by path. */
async function checkFiles(reader: ZipReader, { files }: Manifest): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  for (const { path, sha256: expected } of files) {
    const problem = nameProblem(path);
    if (problem !== undefined) throw mismatch(`the manifest lists a path that ${problem}`, { path });
    if (path === MANIFEST) throw mismatch('the manifest lists itself', { path });
    if (hashes.has(path)) throw mismatch(`the manifest lists ${path} twice`, { path });
    hashes.set(path, expected);
    const hash = createHash('sha256');
    for await (const chunk of reader.chunks(requireEntry(reader, path))) hash.update(chunk);
    const actual = hash.digest('hex');
    if (actual !== expected) throw mismatch(`${path} is not what was hashed`, { path, expected, actual });
  }
  for (const path of reader.entries.keys()) {
    if (path !== MANIFEST && !hashes.has(path))
      throw mismatch(`the manifest does not list ${path}`, { path });
  }
  for (const path of REQUIRED) requireEntry(reader, path);
  return hashes;
}

async function checkDocuments(
  reader: ZipReader,
  jobId: string,
  hashes: ReadonlyMap<string, string>,
  onApproval: OnApproval | undefined,
): Promise<void> {
  const job = await readDocument(reader, 'job.json');
  const artifacts = await readDocument(reader, 'artifacts_manifest.json');
  const result = reader.entries.has(ACCEPT_RESULT) ? await readDocument(reader, ACCEPT_RESULT) : undefined;
  const findings = new Findings();
  const paths = artifactsOf(artifacts).map(({ path }) => path);
  const check = new LinesCheck(reader, jobId, paths, findings, onApproval);
  await check.run();
  findings.throwUpTo(RANK.together);
  requireJob(jobId, job, 'job.json');
  requireJob(jobId, artifacts, 'artifacts_manifest.json');
  if (result !== undefined) requireJob(jobId, result, ACCEPT_RESULT);
  checkArtifacts(artifacts, hashes);
  // Only our packs tell so much that more can be checked; the reference's state may differ from its log.
  if (check.chain === undefined) return;
  const end = await readEnd(reader, jobId);
  findings.throwUpTo(RANK.chain);
  await check.chain.finish(reader, end, job);
}

/** Captured content has to be in the pack, with the hash that it is said to have; without content, only names are hashed. */
function checkArtifacts(manifest: JsonObject, hashes: ReadonlyMap<string, string>): void {
  const { capture_mode: mode } = manifest;
  for (const { path, sha256: expected } of artifactsOf(manifest)) {
    const entry = mode === 'raw' ? artifactEntry(path) : path;
    const actual = mode === 'raw' ? hashes.get(entry) : referenceHash(path);
    if (actual !== expected)
      throw mismatch(`the artifact ${JSON.stringify(path)} is not what its hash says`, {
        path: entry,
        expected,
        actual,
      });
  }
}

function artifactsOf({
  artifacts,
}: JsonObject): readonly { readonly path: string; readonly sha256: string }[] {
  return artifacts as unknown as ReturnType<typeof artifactsOf>;
}
