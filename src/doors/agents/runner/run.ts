/**
 * One operational run (contract agents §3): a command is carried out, and whatever happens to it, its directory holds
 * output, log, meta and summary afterwards. Nothing is written before it has been redacted.
 */
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { outputError } from '../../../evidence/output-file.ts';
import { sha256 } from '../../../evidence/hash.ts';
import { Command } from '../../../executors/process/command.ts';
import { environmentFor } from '../../../executors/process/input.ts';
import { openJoinedPipe } from '../../../executors/process/output-pipes.ts';
import { canonicalJson } from '../../../model/canonical.ts';
import { ReeveError } from '../../../model/errors.ts';
import { actionProblem, idProblem, timestamp } from '../ids.ts';
import { COMPLETED, entryOf, headLines, metaOf, summaryOf } from './artifacts.ts';
import { CapturedOutput } from './captured-output.ts';
import type { Collected } from './collect.ts';
import { collectArtifacts } from './collect.ts';
import type { End } from './end.ts';
import { EXIT_REFUSED, failure, judge, type StopSignal, stopSignalOf } from './end.ts';
import { RunRedaction } from './redaction.ts';
import { documentText, RunFolder } from './run-folder.ts';
import type { Protection } from './sandbox.ts';
import type { OnPhase, OperationalRun, RunOutcome } from './types.ts';

export type { Outcome } from './end.ts';
export type { OnPhase, OperationalRun, RunOutcome, SkillName } from './types.ts';

/** The variable by which the processes of a run are known. */
export const ARTIFACTS_VARIABLE = 'JARVAS_ARTIFACTS_DIR';

/**
 * Carries out a run. Ends well also when the command does not.
 * @param onPhase is told the four lines at the beginning and `PHASE: COMPLETED`, as they happen.
 * @throws ReeveError E_USAGE: id or action cannot be used, or the run is there already: nothing is written then.
 * E_STORE_FULL, E_STORE_UNAVAILABLE: the run's files cannot be written.
 */
export async function runOperational(run: OperationalRun, onPhase?: OnPhase): Promise<RunOutcome> {
  const running = await Running.begin(run, onPhase);
  return running.finish(await running.execute());
}

/** Leaves the same files, and executes nothing (contract §5). @throws as `runOperational` */
export async function refuse(run: OperationalRun, reason: string, onPhase?: OnPhase): Promise<RunOutcome> {
  const running = await Running.begin(run, onPhase);
  return running.finish({ exitCode: EXIT_REFUSED, outcome: 'refused', reason });
}

class Running {
  readonly #run: OperationalRun;
  readonly #onPhase: OnPhase;
  readonly #folder: RunFolder;
  readonly #output: CapturedOutput;
  readonly #redaction: RunRedaction;
  readonly #startedAtMs = Date.now();
  readonly #fromMs = performance.now();
  #argv: readonly string[] | undefined;
  #collected: Collected = { files: [], skipped: [] };
  #protection: Protection | undefined;

  static async begin(run: OperationalRun, onPhase: OnPhase = () => undefined): Promise<Running> {
    refuseName('run_id', run.runId, idProblem(run.runId));
    refuseName('action', run.action, actionProblem(run.action));
    const runsDir = resolve(run.runsDir);
    try {
      const folder = await RunFolder.make(runsDir, run.runId, run.action);
      const redaction = new RunRedaction();
      const output = await CapturedOutput.open(folder.outputPath, redaction.stream(), run.maxOutputBytes);
      return new Running(run, onPhase, folder, output, redaction);
    } catch (error) {
      throw outputError(error, join(runsDir, run.runId));
    }
  }

  private constructor(
    run: OperationalRun,
    onPhase: OnPhase,
    folder: RunFolder,
    output: CapturedOutput,
    redaction: RunRedaction,
  ) {
    this.#run = run;
    this.#onPhase = onPhase;
    this.#folder = folder;
    this.#output = output;
    this.#redaction = redaction;
    for (const line of this.#head) onPhase(line);
  }

  get #head(): readonly string[] {
    return headLines(this.#run.runId, this.#run.action, timestamp(this.#startedAtMs));
  }

  /** @returns how the command ended; what goes wrong here is a failure of the runner, and an end too. */
  async execute(): Promise<End> {
    let scratch: string | undefined;
    try {
      scratch = await realpath(await mkdtemp(join(tmpdir(), 'reeve-run-')));
      return await this.#inScratch(scratch);
    } catch (error) {
      return failure(error);
    } finally {
      if (scratch !== undefined) await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  async #inScratch(scratch: string): Promise<End> {
    const run = this.#run;
    const [artifacts = '', work = '', program = ''] = ['artifacts', 'work', 'program'].map((name) =>
      join(scratch, name),
    );
    await mkdir(artifacts, { mode: 0o700 });
    if (run.cwd === undefined) await mkdir(work, { mode: 0o700 });
    this.#argv = await argvOf(run.argv, program);
    const command = new Command<StopSignal>();
    const mark = { runner: command.self, scratch, mark: artifacts };
    await this.#folder.markRunning(mark);
    const stop = (): void => command.stop(stopSignalOf(run.signal.reason));
    run.signal.addEventListener('abort', stop, { once: true });
    if (run.signal.aborted) stop();
    try {
      const ended = await command.run({
        argv: this.#argv,
        cwd: run.cwd ?? work,
        env: this.#environment(artifacts),
        marker: ARTIFACTS_VARIABLE,
        pipes: openJoinedPipe,
        readers: [this.#output],
        ...(run.timeoutMs === undefined ? {} : { timeoutMs: run.timeoutMs }),
        onStart: (leader) => void this.#folder.markRunning({ ...mark, leader }).catch(() => undefined),
      });
      this.#collected = await collectArtifacts(
        artifacts,
        this.#folder.directory,
        run.maxOutputBytes,
        this.#redaction,
      );
      return judge(ended, command.stopped);
    } finally {
      run.signal.removeEventListener('abort', stop);
    }
  }

  #environment(artifacts: string): Record<string, string> {
    const { runId, action, env, envRefs, secretArgs = {} } = this.#run;
    const secrets = Object.entries(secretArgs).map(([name, value]) => [argVariable(name), value]);
    const set = { ...envRefs, ...(Object.fromEntries(secrets) as Record<string, string>) };
    return environmentFor(
      {
        set: { ...set, JARVAS_RUN_ID: runId, JARVAS_ACTION: action, [ARTIFACTS_VARIABLE]: artifacts },
      },
      env,
    );
  }

  /** Writes what is left to write, the summary last. */
  async finish(ended: End): Promise<RunOutcome> {
    try {
      const output = await this.#output.finish();
      const end =
        output.writeError === undefined
          ? ended
          : failure(new Error(`output.raw could not be written (${output.writeError})`));
      const reason = end.reason === undefined ? {} : { reason: this.#redaction.text(end.reason) };
      const log = await this.#folder.writeLog({
        head: this.#head,
        output,
        end: { ...end, ...reason },
      });
      const finishedAtMs = Date.now();
      const summary = summaryOf(this.#run, end.exitCode, finishedAtMs);
      const summaryText = documentText(summary);
      const argv = this.#argv?.map((word) => this.#redaction.text(word));
      const meta = metaOf(this.#run, {
        startedAtMs: this.#startedAtMs,
        finishedAtMs,
        durationMs: Math.round(performance.now() - this.#fromMs),
        digest: commandDigest(this.#run),
        ...(argv === undefined ? {} : { argv }),
        output,
        end: { ...end, ...reason },
        redactions: this.#redaction.counts,
        ...(this.#protection === undefined ? {} : { protection: this.#protection }),
        files: [...this.#collected.files, log, entryOf('artifacts/summary.json', summaryText)],
        skipped: this.#collected.skipped,
      });
      await this.#folder.complete(meta, summaryText);
      this.#onPhase(COMPLETED);
      return {
        exitCode: end.exitCode,
        outcome: end.outcome,
        ...reason,
        summary,
        meta,
        directory: this.#folder.directory,
      };
    } catch (error) {
      throw outputError(error, this.#folder.directory);
    }
  }
}

async function argvOf(argv: OperationalRun['argv'], program: string): Promise<readonly string[]> {
  if (typeof argv === 'string') return ['/bin/sh', '-c', argv];
  if (typeof argv !== 'function') return argv;
  await mkdir(program, { mode: 0o700 });
  return argv(program);
}

function refuseName(field: string, value: string, problem: string | undefined): void {
  if (problem !== undefined)
    throw new ReeveError('E_USAGE', `${field} ${JSON.stringify(value)} ${problem}`, { field, value });
}

/** `JARVAS_ARG_<NAME>`: where a skill finds the value of a secret argument. */
export function argVariable(name: string): string {
  return `JARVAS_ARG_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`;
}

/** Over exactly what stands in an allow-list (contract agents §5). */
export function commandDigest({ argv, skill }: Pick<OperationalRun, 'argv' | 'skill'>): string {
  if (skill !== undefined) return skill.digest;
  if (typeof argv === 'function') throw new TypeError('a run whose program is made needs the digest of its skill');
  return `sha256:${sha256(typeof argv === 'string' ? argv : canonicalJson(argv))}`;
}
