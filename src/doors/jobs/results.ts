/** What verbs answer, in wrkr's keys (contract wrkr §b): the same on the command line and over HTTP. */
import { footerText } from '../../evidence/receipt.ts';
import type { Verified } from '../../evidence/verify.ts';
import type { RunState } from '../../model/state.ts';
import { runSpecOf, type Jobs } from './jobs.ts';
import { nextStepIndex, projectionOf } from './lines.ts';
import { statusOf } from './map.ts';
import type { ExportedPack } from './pack.ts';
import type { Submitted } from './submit.ts';

export function submitResult(done: Submitted) {
  return {
    job_id: done.jobId,
    status: statusOf(done.state.standing),
    adapter: done.adapter,
    spec_name: done.name,
    objective: done.objective,
    spec_path: done.specPath,
  };
}

export async function resumeResult(jobs: Jobs, state: RunState) {
  const spec = await runSpecOf(jobs, state.id);
  const next = nextStepIndex(
    projectionOf(state.id, spec, jobs.version),
    (node) => state.settled.get(node)?.state === 'succeeded',
  );
  const adapter = spec.labels['adapter'];
  return {
    job_id: state.id,
    status: statusOf(state.standing),
    ...(adapter === undefined || adapter === 'none' ? {} : { adapter }),
    ...(next === 0 ? {} : { next_step_index: next }),
  };
}

export function exportResult(pack: ExportedPack) {
  const { jobId, path, manifestSha256 } = pack;
  return {
    job_id: jobId,
    path,
    manifest_sha256: manifestSha256,
    footer: footerText(pack),
    ...signatureFields(pack),
  };
}

/** Nothing where there is no signature. */
export function signatureFields({ signed }: ExportedPack): Readonly<Record<string, string>> {
  return signed === undefined ? {} : { signature_path: signed.sidecar, key_id: signed.keyId };
}

export function verifyResult({ jobId, manifestSha256, filesVerified }: Verified) {
  return { job_id: jobId, manifest_sha256: manifestSha256, files_verified: filesVerified };
}
