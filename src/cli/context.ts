/** What a command may use of the world. Built once in `main`; environment variables are read here and nowhere else. */
import { resolve } from 'node:path';
import { ReeveError } from '../model/errors.ts';
import type { Jobs } from '../doors/jobs/jobs.ts';
import { tracerFor } from '../telemetry/lazy-tracer.ts';
import type { Tracer } from '../telemetry/tracer.ts';
import type { CliContext, CommandSpec, Program } from './command.ts';
import type { Interruption } from './interrupt.ts';
import { escapeControls } from './output.ts';
import { storePlaceOf } from './jobs/store-place.ts';
import { programVersion } from './version.ts';

export interface OpenContext extends CliContext {
  close(): Promise<void>;
}

export interface ContextOptions {
  readonly program: Program;
  readonly commands: readonly CommandSpec[];
  readonly json: boolean;
  readonly store: string | undefined;
  readonly interruption: Interruption;
}

export function openContext({ program, commands, json, store, interruption }: ContextOptions): OpenContext {
  const env: Readonly<Record<string, string | undefined>> = process.env;
  const cwd = currentDirectory();
  const { version } = programVersion();
  const place = storePlaceOf(program, store, env, cwd);
  let opening: Promise<Jobs> | undefined;
  let tracing: { readonly tracer: Tracer | undefined } | undefined;
  const tracer = (service: string = program): Tracer | undefined => {
    const note = (text: string): void => void process.stderr.write(`${escapeControls(text)}\n`);
    tracing ??= { tracer: tracerFor({ env, service, version, note }) };
    return tracing.tracer;
  };
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
    get signal() {
      return interruption.signal;
    },
    tracer,
    jobs({ create = true, waits = false, meter, note } = {}) {
      opening ??= import('./jobs/open-jobs.ts').then(({ openJobs }) =>
        openJobs({
          place,
          cwd,
          env,
          version,
          create,
          waits,
          ...(waits ? { signal: interruption.signal } : {}),
          stderr: process.stderr,
          meter,
          tracer: tracer(),
          ...(note === undefined ? {} : { note }),
        }),
      );
      return opening;
    },
    async close() {
      try {
        await (await opening?.catch(() => undefined))?.close();
      } finally {
        await tracing?.tracer?.stop();
      }
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
