/** `store copy`: runs from one store to another, whole and verified. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { isJobId, jobDir, requireJobId } from '../../doors/jobs/job-id.ts';
import { sha256, systemClock } from '../../engine/system.ts';
import { expectedWork } from '../../engine/work-changes.ts';
import { ReeveError } from '../../model/errors.ts';
import { allRuns } from '../../store/check.ts';
import { copyRun } from '../../store/copy.ts';
import { openStore, type Store } from '../../store/open-store.ts';
import type { CliContext, CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';
import { interruptedBy } from '../interrupt.ts';
import { storePlaceOf, type StorePlace } from '../jobs/store-place.ts';

/** What of a job directory is not written from the events. */
const KEPT = ['steps', 'accept_result.json'];

interface Failed {
  readonly job_id: string;
  readonly code: string;
  readonly message: string;
}

export const storeCopy: CommandHandler = async (ctx, { flags }) => {
  const [given, target] = [flags.text('from'), flags.text('to')];
  if (given === undefined && target === undefined)
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'store copy needs --from, --to or both', { flag: '--to' });
  const [source, sink] = [placeOf(ctx, given), placeOf(ctx, target)];
  if (nameOf(source) === nameOf(sink))
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'source and target are the same store', {
      store: nameOf(source),
    });
  const only = flags.texts('job').map(requireJobId);
  const from = await open(source, false);
  try {
    const to = await open(sink, true);
    try {
      const report = await copyAll(ctx, { from, to, source, sink }, only);
      return { ...reportOf(report, source, sink), ...interruptedBy(ctx.signal) };
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
};

interface Ends {
  readonly from: Store;
  readonly to: Store;
  readonly source: StorePlace;
  readonly sink: StorePlace;
}

interface Report {
  readonly copied: string[];
  readonly same: string[];
  readonly failed: Failed[];
  events: number;
}

async function copyAll(
  ctx: CliContext,
  { from, to, source, sink }: Ends,
  only: readonly string[],
): Promise<Report> {
  const report: Report = { copied: [], same: [], failed: [], events: 0 };
  const tools = { sha256, expectedWork };
  for (const id of only.length > 0 ? only : await oldestFirst(from)) {
    if (ctx.signal.aborted) break;
    try {
      const { result, events } = await copyRun(from, to, id, tools, systemClock.nowMs());
      report[result].push(id);
      if (result === 'copied') report.events += events;
      if (isJobId(id)) await copyFiles(jobDir(source.storeRoot, id), jobDir(sink.storeRoot, id));
    } catch (error) {
      // One that cannot be copied does not keep the others back; a store that fails does.
      if (!(error instanceof ReeveError) || STORE_FAILURES.includes(error.code)) throw error;
      report.failed.push({ job_id: id, code: error.code, message: error.message });
    }
  }
  return report;
}

const STORE_FAILURES: readonly string[] = ['E_STORE_UNAVAILABLE', 'E_STORE_BUSY', 'E_STORE_FULL'];

/** Lists are by time and then by arrival: so they are the same afterwards. */
async function oldestFirst({ runs }: Store): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of allRuns(runs)) ids.push(id);
  return ids.toReversed();
}

async function copyFiles(from: string, to: string): Promise<void> {
  for (const name of KEPT) {
    await cp(join(from, name), join(to, name), { recursive: true, preserveTimestamps: true }).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      },
    );
  }
}

function reportOf({ copied, same, failed, events }: Report, source: StorePlace, sink: StorePlace) {
  const [first] = failed;
  return {
    json: { from: nameOf(source), to: nameOf(sink), copied, same, failed, events },
    text: [
      `store copy copied=${copied.length} same=${same.length} failed=${failed.length} events=${events}`,
      ...copied.map((id) => `- ${escapeControls(id)}`),
      ...failed.map(
        ({ job_id, code, message }) =>
          `- failed ${escapeControls(job_id)} ${code}: ${escapeControls(message)}`,
      ),
    ],
    ...(first === undefined
      ? {}
      : {
          error: new ReeveError(
            first.code as ReeveError['code'],
            failed.length === 1 ? first.message : `${failed.length} runs were not copied`,
            { failed },
          ),
        }),
  };
}

function placeOf(
  { program, env, cwd, storeRoot, postgres }: CliContext,
  given: string | undefined,
): StorePlace {
  if (given !== undefined) return storePlaceOf(program, given, env, cwd);
  return { storeRoot, ...(postgres === undefined ? {} : { postgres }) };
}

function nameOf({ storeRoot, postgres }: StorePlace): string {
  return postgres?.shown ?? storeRoot;
}

function open({ storeRoot, postgres }: StorePlace, create: boolean): Promise<Store> {
  return openStore(storeRoot, { create, postgres });
}
