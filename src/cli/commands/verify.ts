import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isJobId } from '../../doors/jobs/job-id.ts';
import { jobpackPath } from '../../doors/jobs/pack.ts';
import { verifyResult } from '../../doors/jobs/results.ts';
import { verifySignedJobpack, type ApprovalSignature } from '../../evidence/signature.ts';
import { verifyJobpack, type Verified } from '../../evidence/verify.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, CommandHandler, Flags } from '../command.ts';
import { escapeControls } from '../output.ts';
import { signatureRules } from '../signing.ts';

export const verify: CommandHandler = async (ctx, { args, flags }) => {
  const path = await packThere(ctx, args[0] ?? '', outDirOf(ctx, flags));
  const rules = await signatureRules(ctx, flags);
  if (rules === undefined) {
    const verified = await verifyJobpack(path);
    return { json: verifyResult(verified), text: [verifiedLine(verified)] };
  }
  const verified = await verifySignedJobpack(path, rules);
  const { signatures, approvals } = verified;
  return {
    json: {
      ...verifyResult(verified),
      signatures: signatures.map(signerFields),
      approvals: approvals.map(({ checkpointId, approvedBy, ...signer }) => ({
        checkpoint_id: checkpointId,
        approved_by: approvedBy,
        ...signerFields(signer),
      })),
    },
    text: [
      verifiedLine(verified),
      ...(signatures.length === 0 ? ['signature=none'] : []),
      ...signatures.map((signer) => `signature=${signerText(signer)}`),
      ...approvals.map(
        ({ checkpointId, approvedBy, ...signer }) =>
          `approval=${signerText(signer, ` checkpoint=${checkpointId} by=${JSON.stringify(approvedBy)}`)}`,
      ),
    ],
  };
};

function verifiedLine({ jobId, manifestSha256, filesVerified }: Verified): string {
  return `verified job_id=${escapeControls(jobId)} manifest=sha256:${manifestSha256} files=${filesVerified}`;
}

type Signer = Pick<ApprovalSignature, 'status' | 'keyId' | 'name'>;

function signerFields({ keyId, ...more }: Signer): Readonly<Record<string, unknown>> {
  return { ...(keyId === undefined ? {} : { key_id: keyId }), ...more };
}

function signerText({ status, keyId, name }: Signer, about = ''): string {
  const key = keyId === undefined ? '' : ` key=${keyId}`;
  return escapeControls(
    `${status}${about}${key}${name === undefined ? '' : ` name=${JSON.stringify(name)}`}`,
  );
}

export function outDirOf(ctx: CliContext, flags: Flags): string {
  const given = flags.text('out-dir');
  if (given === undefined) return ctx.outDir;
  if (given.trim() === '' || given.includes('\0')) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--out-dir needs a path', {
      flag: '--out-dir',
      value: given,
    });
  }
  return resolve(ctx.cwd, given);
}

/** The same, where it has to be there already. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function packThere(ctx: CliContext, word: string, outDir: string): Promise<string> {
  const { path, jobId } = await packNamed(ctx, word, outDir);
  if (jobId === undefined || (await stat(path).catch(() => undefined)) !== undefined) return path;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${word} is no file, and there is no jobpack of a job of that name at ${path}: ${ctx.program} export ${word} writes it`,
    { value: word, path },
  );
}

/**
 * What `<job|path>` means: a file that is there wins; otherwise it is a job, whose pack is in the output directory.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA for what is neither.
 */
export async function packNamed(
  ctx: CliContext,
  word: string,
  outDir: string,
): Promise<{ readonly path: string; readonly jobId?: string }> {
  const path = resolve(ctx.cwd, word);
  const found = word === '' ? undefined : await stat(path).catch(() => undefined);
  if (found !== undefined && !found.isDirectory()) return { path };
  if (isJobId(word)) return { path: jobpackPath(outDir, word), jobId: word };
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${JSON.stringify(word)} is neither a file nor a job id`, {
    value: word.slice(0, 4096),
  });
}
