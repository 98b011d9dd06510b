/**
 * One operational run (contract agents §3): a command is carried out, and whatever happens to it, its directory holds
 * output, log, meta and summary afterwards. Nothing is written before it has been redacted.
 */
import { join, resolve } from 'node:path';
import { outputError } from '../../../evidence/output-file.ts';
import { Command } from '../../../executors/process/command.ts';
import { openJoinedPipe } from '../../../executors/process/output-pipes.ts';
import { ReeveError } from '../../../model/errors.ts';
import type { RefusalReason } from '../../../policy/allow-list/refusal.ts';
import { digestOfBytes, digestOfCommand } from '../../../policy/allow-list/sign.ts';
import { Redaction } from '../../../policy/redaction/redaction.ts';
import { actionProblem, idProblem, timestamp } from '../ids.ts';
import { COMPLETED, entryOf, headLines, metaOf, summaryOf } from './artifacts.ts';
import { CapturedOutput } from './captured-output.ts';
import type { Collected } from './collect.ts';
import { collectArtifacts } from './collect.ts';
import type { End } from './end.ts';
import { EXIT_REFUSED, failure, judge, type StopSignal, stopSignalOf } from './end.ts';
import { ARTIFACTS_VARIABLE, runEnvironment } from './environment.ts';
import { documentText, RunFolder } from './run-folder.ts';
import { makeSandbox, type Protection, type Sandbox } from './sandbox.ts';
import { makeScratch, removeScratch, type Scratch } from './scratch.ts';
import type { OnPhase, OperationalRun, RunOutcome } from './types.ts';

export type { OnPhase, OperationalRun, RunOutcome } from './types.ts';

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
export async function refuse(
  run: OperationalRun,
  reason: RefusalReason,
  onPhase?: OnPhase,
): Promise<RunOutcome> {
  const running = await Running.begin(run, onPhase);
  return running.finish({ exitCode: EXIT_REFUSED, outcome: 'refused', reason });
}

/** The same for a run that cannot begin: exit code 125. @throws as `runOperational` */
export async function failBeforehand(
  run: OperationalRun,
  reason: string,
  onPhase?: OnPhase,
): Promise<RunOutcome> {
  const running = await Running.begin(run, onPhase);
  return running.finish(failure(new Error(reason)));
}

/** The same for a run whose signal came before it could begin: exit code 143, cancelled. @throws as `runOperational` */
export async function cancelBeforehand(run: OperationalRun, onPhase?: OnPhase): Promise<RunOutcome> {
  const running = await Running.begin(run, onPhase);
  return running.finish(judge({ kind: 'not_run', message: '' }, stopSignalOf(run.signal.reason)));
}

class Running {
  readonly #run: OperationalRun;
  readonly #onPhase: OnPhase;
  readonly #folder: RunFolder;
  readonly #output: CapturedOutput;
  readonly #redaction: Redaction;
  readonly #startedAtMs = Date.now();
  readonly #fromMs = performance.now();
  #argv: readonly string[] | undefined;
  #collected: Collected = { files: [], skipped: [] };
  #protection: Protection | undefined;
  #marking: Promise<void> = Promise.resolve();

  static async begin(run: OperationalRun, onPhase: OnPhase = () => undefined): Promise<Running> {
    refuseName('run_id', run.runId, idProblem(run.runId));
    refuseName('action', run.action, actionProblem(run.action));
    const runsDir = resolve(run.runsDir);
    try {
      const redaction = new Redaction({ ...run.redact, values: secretsOf(run) });
      const folder = await RunFolder.make(runsDir, run.runId, run.action);
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
    redaction: Redaction,
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
    let scratch: Scratch | undefined;
    try {
      scratch = await makeScratch();
      return await this.#executeIn(scratch);
    } catch (error) {
      return failure(error);
    } finally {
      if (scratch !== undefined) await removeScratch(scratch.root);
    }
  }

  async #executeIn(scratch: Scratch): Promise<End> {
    const run = this.#run;
    const { artifacts } = scratch;
    const cwd = run.cwd ?? scratch.work;
    this.#argv = await argvOf(run.argv, scratch.program);
    const sandbox = await this.#sandboxFor(scratch, cwd);
    if (sandbox !== undefined && run.sandbox?.required === true && sandbox.protection.missing.length > 0)
      return { exitCode: EXIT_REFUSED, outcome: 'refused', reason: 'privileged' };
    const command = new Command<StopSignal>();
    const mark = { runner: command.self, scratch: scratch.root, artifacts };
    await this.#folder.markRunning(mark);
    const stop = (): void => command.stop(stopSignalOf(run.signal.reason));
    run.signal.addEventListener('abort', stop, { once: true });
    if (run.signal.aborted) stop();
    try {
      const ended = await command.run({
        argv: [...(sandbox?.prefix ?? []), ...this.#argv],
        cwd,
        env: runEnvironment(run, artifacts),
        marker: ARTIFACTS_VARIABLE,
        pipes: openJoinedPipe,
        readers: [this.#output],
        ...(run.timeoutMs === undefined ? {} : { timeoutMs: run.timeoutMs }),
        onStart: (leader) => {
          this.#marking = this.#folder.markRunning({ ...mark, leader }).catch(() => undefined);
        },
      });
      await this.#marking;
      const { directory } = this.#folder;
      this.#collected = await collectArtifacts(artifacts, directory, run.maxOutputBytes, this.#redaction);
      return judge(ended, command.stopped);
    } finally {
      run.signal.removeEventListener('abort', stop);
    }
  }

  async #sandboxFor(scratch: Scratch, cwd: string): Promise<Sandbox | undefined> {
    const { sandbox: wish, env } = this.#run;
    if (wish === undefined) return undefined;
    const places = {
      writable: [cwd, scratch.artifacts],
      closed: scratch.root,
      path: env['PATH'] ?? '',
    } as const;
    const sandbox = await makeSandbox(wish, places);
    this.#protection = sandbox.protection;
    return sandbox;
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
      const argv = this.#argv === undefined ? undefined : this.#redaction.argv(this.#argv);
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
      await this.#folder.abandon().catch(() => undefined);
      throw outputError(error, this.#folder.directory);
    }
  }
}

function secretsOf({ envRefs, secretArgs = {}, secrets = [] }: OperationalRun): readonly string[] {
  return [...Object.values(envRefs), ...Object.values(secretArgs), ...secrets];
}

async function argvOf(argv: OperationalRun['argv'], program: string): Promise<readonly string[]> {
  if (typeof argv === 'string') return ['/bin/sh', '-c', argv];
  return typeof argv === 'function' ? argv(program) : argv;
}

function refuseName(field: string, value: string, problem: string | undefined): void {
  if (problem !== undefined)
    throw new ReeveError('E_USAGE', `${field} ${JSON.stringify(value)} ${problem}`, { field, value });
}

/** Over exactly what stands in an allow-list (contract agents §5). */
function commandDigest({ argv, skill }: Pick<OperationalRun, 'argv' | 'skill'>): string {
  if (skill !== undefined) return skill.digest;
  if (typeof argv === 'function')
    throw new TypeError('a run whose program is made needs the digest of its skill');
  try {
    return digestOfCommand(argv);
  } catch {
    // No allow-list can hold it, so it runs only where nothing is verified.
    return digestOfBytes(Buffer.from(typeof argv === 'string' ? argv : JSON.stringify(argv)));
  }
}
