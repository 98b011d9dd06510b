/** What a command may use of the world. Built once in `main`; environment variables are read here and nowhere else. */
import { resolve } from 'node:path';
import { ReeveError } from '../model/errors.ts';
import type { Jobs } from '../doors/jobs/jobs.ts';
import type { CliContext, CommandSpec, Program } from './command.ts';
import { storePlaceOf } from './store-place.ts';
import { programVersion } from './version.ts';

export interface OpenContext extends CliContext {
  close(): Promise<void>;
}

export interface ContextOptions {
  readonly program: Program;
  readonly commands: readonly CommandSpec[];
  readonly json: boolean;
  readonly store: string | undefined;
  readonly signal: AbortSignal;
}

export function openContext({ program, commands, json, store, signal }: ContextOptions): OpenContext {
  const env: Readonly<Record<string, string | undefined>> = process.env;
  const cwd = currentDirectory();
  const { version } = programVersion();
  const place = storePlaceOf(program, store, env, cwd);
  let opening: Promise<Jobs> | undefined;
  return {
    program,
    commands,
    json,
    env,
    cwd,
    version,
    ...place,
    outDir: resolve(cwd, program === 'reeve' ? 'reeve-out' : 'wrkr-out'),
    stdout: process.stdout,
    stderr: process.stderr,
    signal,
    jobs({ create = true } = {}) {
      opening ??= import('./open-jobs.ts').then(({ openJobs }) =>
        openJobs({ place, cwd, env, version, create, stderr: process.stderr }),
      );
      return opening;
    },
    async close() {
      await (await opening?.catch(() => undefined))?.close();
    },
  };
}

function currentDirectory(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      'the working directory does not exist any more',
      {},
      { cause },
    );
  }
}

/** Who approves or decides: the flag, then the program's variable, then the user, then `unknown` (contract wrkr §c). */
export function actorOf(ctx: CliContext, flag: string | undefined): string {
  const given = flag?.trim() ?? '';
  return given === '' ? defaultActor(ctx) : given;
}

export function defaultActor({ env }: CliContext): string {
  const candidates = [env['REEVE_APPROVED_BY'], env['WRKR_APPROVED_BY'], env['USER']];
  return candidates.map((name) => name?.trim() ?? '').find((name) => name !== '') ?? 'unknown';
}
