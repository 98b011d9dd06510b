import { join, resolve } from 'node:path';
import { isJobId } from '../../doors/jobs/job-id.ts';
import { htmlReport, type ReportSignature } from '../../evidence/html/page.ts';
import { writeFileAtomically } from '../../evidence/output-file.ts';
import { verifySignedJobpack, type PackSignature } from '../../evidence/signature.ts';
import { readStory } from '../../evidence/read-story.ts';
import type { RunStory } from '../../evidence/story.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, CommandHandler, Flags } from '../command.ts';
import { escapeControls } from '../output.ts';
import { signatureRules } from '../signing.ts';
import { trustOf, withPack } from './story-pack.ts';
import { outDirOf } from './verify.ts';

export const reportHtml: CommandHandler = async (ctx, { args, flags }) => {
  const rules = await signatureRules(ctx, flags);
  if (rules !== undefined && flags.on('no-verify')) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--no-verify checks no signatures either', {
      flag: '--no-verify',
    });
  }
  const { story, signatures } = await withPack(ctx, args[0] ?? '', flags, async (pack) => ({
    signatures: rules === undefined ? undefined : (await verifySignedJobpack(pack, rules)).signatures,
    story: await readStory(pack, trustOf(flags)),
  }));
  const path = pathOf(ctx, flags, story);
  const page = htmlReport(
    story,
    signatures === undefined ? {} : { signatures: signatures.map(shownSignature) },
  );
  await writeFileAtomically(path, (sink) => Promise.resolve(sink.write(Buffer.from(page))));
  const { jobId, manifestSha256, verified } = story;
  const isVerified = verified !== undefined;
  return {
    json: { job_id: jobId, report: path, manifest_sha256: manifestSha256, verified: isVerified },
    text: [
      `job_id=${escapeControls(jobId)} verified=${isVerified ? 'yes' : 'no'}`,
      `report=${escapeControls(path)}`,
    ],
  };
};

function shownSignature({ status, ...signer }: PackSignature): ReportSignature {
  return { ...signer, state: status === 'good' ? 'good' : 'unchecked' };
}

function pathOf(ctx: CliContext, flags: Flags, { jobId }: RunStory): string {
  const out = flags.text('out');
  if (out !== undefined) {
    if (out.trim() !== '' && !out.includes('\0')) return resolve(ctx.cwd, out);
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--out needs a file', { flag: '--out', value: out });
  }
  if (isJobId(jobId)) return join(outDirOf(ctx, flags), 'reports', `run_${jobId}.html`);
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'the id of the job cannot name a file: say --out <file>', {
    flag: '--out',
    job_id: jobId.slice(0, 200),
  });
}
