import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { verifyChain } from '../../doors/agents/control/audit-chain.ts';
import { sha256 } from '../../engine/system.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';

/** An export is read whole. */
const BYTES_MAX = 1024 * 1_048_576;

export const auditVerify: CommandHandler = async (ctx, { args, flags }) => {
  const file = args[0] ?? '';
  const text = await read(resolve(ctx.cwd, file), file);
  const head = flags.text('head');
  const after = afterOf(flags.text('after'));
  const report = verifyChain(text, sha256, {
    ...(head === undefined ? {} : { headHash: requireHash(head, '--head') }),
    ...(after === undefined ? {} : { after }),
  });
  if (!report.ok) {
    throw new ReeveError(
      'E_VERIFY_HASH_MISMATCH',
      `line ${report.line} of the audit chain ${report.problem}`,
      {
        file,
        line: report.line,
        problem: report.problem,
        entries: report.entries,
        head: report.head,
      },
    );
  }
  return {
    json: { ok: true, entries: report.entries, head: report.head },
    text: [`${report.entries} entries are one chain, up to ${report.head.seq} ${report.head.hash}`],
  };
};

async function read(path: string, shown: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${escapeControls(shown)} cannot be read (${code})`, {
      file: shown,
    });
  }
  if (bytes.length > BYTES_MAX)
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${shown} is larger than ${BYTES_MAX} bytes`, {
      file: shown,
      value: bytes.length,
      limit: BYTES_MAX,
    });
  return bytes.toString('utf8');
}

/** `<seq>:<hash>` of the line before the first. @throws ReeveError E_INVALID_INPUT_SCHEMA */
function afterOf(text: string | undefined) {
  if (text === undefined) return undefined;
  const [, seq = '', hash = ''] = /^(\d{1,15}):(.*)$/.exec(text) ?? [];
  return { seq: Number(seq), hash: requireHash(hash, '--after') };
}

function requireHash(text: string, flag: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${flag} needs a hash of 64 hex digits`, {
    flag,
    value: text.slice(0, 100),
  });
}
