import { signJobpack } from '../../evidence/sign.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';
import { droppedNote } from '../../doors/jobs/pack.ts';
import { signingKey } from '../signing.ts';
import { outDirOf, packThere } from './verify.ts';

export const sign: CommandHandler = async (ctx, { args, flags }) => {
  const path = await packThere(ctx, args[0] ?? '', outDirOf(ctx, flags));
  const signed = await signJobpack(path, await signingKey(ctx, flags));
  if (signed.replaced) ctx.stderr.write(`${escapeControls(droppedNote(signed))}\n`);
  const { jobId, manifestSha256, sidecar, keyId, keyIds } = signed;
  return {
    json: {
      job_id: jobId,
      path,
      manifest_sha256: manifestSha256,
      signature_path: sidecar,
      key_id: keyId,
      signed_by: keyIds,
    },
    text: [
      `signed job_id=${escapeControls(jobId)} key=${keyId} signatures=${keyIds.length}`,
      `signature=${escapeControls(sidecar)}`,
    ],
  };
};
