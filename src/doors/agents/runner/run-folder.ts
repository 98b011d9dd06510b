/**
 * The directory of a run (contract agents §3.1). It is made once and never used again. A run is over when it has its
 * `summary.json`, which is written last; until then every file has a name of its own (`.tmp-…`), and `.running.json` says
 * who is at work.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../../../evidence/output-file.ts';
import { isErrno } from '../../../executors/process/record.ts';
import type { ProcessIdentity } from '../../../executors/process/processes.ts';
import { ReeveError } from '../../../model/errors.ts';
import { makeFolder } from '../../../store/make-folder.ts';
import type { LogParts, RunFileEntry, RunMeta, RunSummary } from './artifacts.ts';
import { writeLog } from './artifacts.ts';

const MODE = 0o640;

/** Who is at work, for whoever finds the directory after a crash. */
export interface RunningMark {
  readonly runner: ProcessIdentity;
  /** The private directory of the run. */
  readonly scratch: string;
  /** What its processes are marked with. */
  readonly artifacts: string;
  readonly leader?: ProcessIdentity;
}

export class RunFolder {
  readonly directory: string;
  readonly #action: string;

  /** @throws ReeveError E_USAGE: the id was used before; E_STORE_UNAVAILABLE, E_STORE_FULL */
  static async make(runsDir: string, runId: string, action: string): Promise<RunFolder> {
    const directory = join(runsDir, runId);
    await makeFolder(runsDir, 0o750);
    try {
      await mkdir(directory, { mode: 0o750 });
    } catch (cause) {
      if (!isErrno(cause, 'EEXIST')) throw cause;
      throw new ReeveError('E_USAGE', `run ${runId} is there already; runs are never written again`, {
        run_id: runId,
        path: directory,
      });
    }
    await mkdir(join(directory, 'artifacts'), { mode: 0o750 });
    await mkdir(join(directory, 'logs'), { mode: 0o750 });
    return new RunFolder(directory, action);
  }

  private constructor(directory: string, action: string) {
    this.directory = directory;
    this.#action = action;
  }

  get outputPath(): string {
    return join(this.directory, 'artifacts', 'output.raw');
  }

  get logName(): string {
    return `logs/step_${this.#action}.log`;
  }

  /** Not synced: what a power failure takes away, it takes from processes first. */
  async markRunning(mark: RunningMark): Promise<void> {
    const aside = join(this.directory, '.tmp-running');
    await writeFile(aside, JSON.stringify(mark), { mode: MODE });
    await rename(aside, join(this.directory, RUNNING_FILE));
  }

  /** Needs `output.raw`. */
  async writeLog(parts: LogParts): Promise<RunFileEntry> {
    const output = await open(this.outputPath, 'r');
    const hash = createHash('sha256');
    let size = 0;
    try {
      await writeFileAtomically(
        join(this.directory, this.logName),
        (sink) =>
          writeLog(
            async (bytes) => {
              size += bytes.length;
              hash.update(bytes);
              await sink.write(bytes);
            },
            parts,
            output,
          ),
        { mode: MODE },
      );
    } finally {
      await output.close();
    }
    return { path: this.logName, size, sha256: hash.digest('hex') };
  }

  /** After everything else. */
  async complete(meta: RunMeta, summary: string): Promise<void> {
    await this.#writeText('artifacts/meta.json', documentText(meta));
    await this.abandon();
    await this.#writeText('artifacts/summary.json', summary);
  }

  /** Nobody is at work here any more, whether it could be completed or not. */
  async abandon(): Promise<void> {
    await rm(join(this.directory, RUNNING_FILE), { force: true });
  }

  #writeText(name: string, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    return writeFileAtomically(join(this.directory, name), (sink) => sink.write(bytes), { mode: MODE });
  }
}

export const RUNNING_FILE = '.running.json';

export function documentText(document: RunMeta | RunSummary): string {
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
