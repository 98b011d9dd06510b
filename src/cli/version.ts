import { readFileSync } from 'node:fs';

/** The version of this program, from its package.json; the commit and date when a release build recorded them. */
export function programVersion(): { version: string; commit: string; date: string } {
  const { version, reeve } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as {
    version: string;
    reeve?: { commit?: string; date?: string };
  };
  return { version, commit: reeve?.commit ?? 'unknown', date: reeve?.date ?? 'unknown' };
}
