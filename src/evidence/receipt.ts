/** The line that people paste below a change: it names a pack by its hash (contract wrkr §f, "Footer"). */
import { ReeveError } from '../model/errors.ts';

const FOOTER = /^WRKR job_id=([a-zA-Z0-9._-]+) manifest=sha256:([a-f0-9]{64}) verify="wrkr verify ([^"]+)"$/;

export interface Receipt {
  readonly jobId: string;
  readonly manifestSha256: string;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for a job whose id no footer can say. */
export function footerText({ jobId, manifestSha256 }: Receipt): string {
  const footer = `WRKR job_id=${jobId} manifest=sha256:${manifestSha256} verify="wrkr verify ${jobId}"`;
  parseFooter(footer);
  return footer;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA for any other text. */
export function parseFooter(text: string): Receipt {
  const [, jobId, manifestSha256] = FOOTER.exec(text) ?? [];
  if (jobId !== undefined && manifestSha256 !== undefined) return { jobId, manifestSha256 };
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'this is no footer of a jobpack', {
    value: text.slice(0, 200),
  });
}
