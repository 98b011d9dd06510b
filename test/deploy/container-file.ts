/** deploy/Containerfile, instruction by instruction. */
import { readFileSync } from 'node:fs';
import { DEPLOY } from './compose-file.ts';

export interface Instruction {
  readonly verb: string;
  readonly rest: string;
}

export const INSTRUCTIONS: readonly Instruction[] = readFileSync(`${DEPLOY}Containerfile`, 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .join('\n')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .map((line) => {
    const [, verb = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    return { verb, rest };
  });

/** Where a `COPY` comes from: an earlier stage, or the folder that is built. */
export function copyOf(rest: string): { from: string | undefined; sources: string[]; target: string } {
  const words = rest.split(' ');
  const from = words[0]?.startsWith('--from=') === true ? words.shift()?.slice('--from='.length) : undefined;
  return { from, sources: words.slice(0, -1), target: words.at(-1) ?? '' };
}

/** The command of the health check, for a process without a shell. */
export function healthCommand(): readonly string[] {
  const { rest = '' } = INSTRUCTIONS.find(({ verb }) => verb === 'HEALTHCHECK') ?? {};
  return JSON.parse(rest.slice(rest.indexOf('CMD ') + 'CMD '.length)) as string[];
}

/** What `ENV` says. */
export function imageEnvironment(): Readonly<Record<string, string>> {
  const { rest = '' } = INSTRUCTIONS.find(({ verb }) => verb === 'ENV') ?? {};
  return Object.fromEntries(rest.split(' ').map((pair) => pair.split(/=(.*)/s, 2) as [string, string]));
}
