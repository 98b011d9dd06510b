import { compareBytes } from './entry-names.ts';
import { readManifest } from './pack-reader.ts';
import { verifyJobpack } from './verify.ts';
import { ZipReader } from './zip-reader.ts';

export interface PackDiff {
  readonly jobIdA: string;
  readonly jobIdB: string;
  /** Paths that only B has, that only A has, and that both have with another content; sorted. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** Compares what the manifests of two packs list (contract wrkr §f, "diff"). @param trust leaves out verifying them first. */
export async function diffJobpacks(a: string, b: string, trust: 'verify' | 'no-verify'): Promise<PackDiff> {
  const [before, after] = [await filesOf(a, trust), await filesOf(b, trust)];
  const paths = [...new Set([...before.files.keys(), ...after.files.keys()])].toSorted(compareBytes);
  return {
    jobIdA: before.jobId,
    jobIdB: after.jobId,
    added: paths.filter((path) => !before.files.has(path)),
    removed: paths.filter((path) => !after.files.has(path)),
    changed: paths.filter((path) => {
      const [old, now] = [before.files.get(path), after.files.get(path)];
      return old !== undefined && now !== undefined && old !== now;
    }),
  };
}

async function filesOf(
  path: string,
  trust: 'verify' | 'no-verify',
): Promise<{ readonly jobId: string; readonly files: ReadonlyMap<string, string> }> {
  if (trust === 'verify') await verifyJobpack(path);
  const reader = await ZipReader.open(path);
  try {
    const { job_id: jobId, files } = await readManifest(reader);
    return { jobId, files: new Map(files.map((file) => [file.path, file.sha256])) };
  } finally {
    await reader.close();
  }
}
