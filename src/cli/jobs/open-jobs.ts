/** Wiring: the parts of the jobs door, put together for one process. */
import { join } from 'node:path';
import { Engine } from '../../engine/engine.ts';
import { systemDeaths } from '../../engine/process-proof.ts';
import { systemChance, systemClock } from '../../engine/system.ts';
import { LEASE_TTL_MS } from '../../engine/worker.ts';
import { JobDirectories } from '../../doors/jobs/directory.ts';
import { thisProcess } from '../../doors/jobs/fingerprint.ts';
import type { Jobs } from '../../doors/jobs/jobs.ts';
import { LazyExecutor } from './lazy-executor.ts';
import type { StorePlace } from './store-place.ts';
import type { Patience } from '../../store/postgres/connections.ts';
import { openStore } from '../../store/open-store.ts';
import { meteredStore } from '../../store/metered-store.ts';
import { engineTelemetry } from '../../telemetry/engine-telemetry.ts';
import type { Meter } from '../../telemetry/meter.ts';
import type { Tracer } from '../../telemetry/tracer.ts';
import { escapeControls } from '../output.ts';

export interface OpenJobsOptions {
  readonly place: StorePlace;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly create: boolean;
  /** For a database server that is still starting: up to 30 s, and says so. */
  readonly waits?: boolean;
  /** Aborted: not any longer. */
  readonly signal?: AbortSignal;
  readonly stderr: NodeJS.WritableStream;
  readonly meter?: Meter | undefined;
  readonly tracer?: Tracer | undefined;
  /** Default: to `stderr`. */
  readonly note?: (text: string) => void;
}

export async function openJobs(options: OpenJobsOptions): Promise<Jobs> {
  const { place, cwd, env, version, create, stderr, meter, tracer } = options;
  const { storeRoot: root, postgres } = place;
  const { note = (text: string): void => void stderr.write(`${escapeControls(text)}\n`) } = options;
  const patience = options.waits === true ? waiting(note, options.signal) : undefined;
  const store = await openStore(root, { create, postgres, patience });
  const { shared } = store;
  const observer = engineTelemetry(meter, tracer);
  const engine = new Engine({
    store: meter === undefined ? store.runs : meteredStore(store.runs, meter),
    blobs: store.blobs,
    clock: systemClock,
    chance: systemChance,
    deaths: systemDeaths,
    ...(observer === undefined ? {} : { observer }),
  });
  const directories = new JobDirectories({ engine, root, version, note });
  const secretArguments = new Map<string, readonly string[]>();
  const processes = new LazyExecutor('process', async () => {
    const { ProcessExecutor } = await import('../../executors/process/process-executor.ts');
    const here = new ProcessExecutor({
      recordsDir: join(root, 'attempts'),
      secretArguments: ({ runId }) => secretArguments.get(runId),
    });
    if (shared === undefined) return here;
    const { PlacedExecutor } = await import('../../executors/placed-executor.ts');
    return new PlacedExecutor(here, shared.places, shared.place);
  });
  return {
    engine,
    root,
    get place() {
      return shared?.place;
    },
    surroundings: { ...thisProcess(), cwd, env },
    version,
    executors: new Map([[processes.name, processes]]),
    directories,
    leaseTtlMs: leaseTtlMs(env),
    secretArguments,
    note,
    async close() {
      await directories.flush();
      await processes.close();
      await store.close();
    },
  };
}

/** Most that whoever serves waits for its database server at the start, milliseconds. */
const START_MS = 30_000;

function waiting(note: (text: string) => void, signal: AbortSignal | undefined): Patience {
  let isSaid = false;
  const onWait = (why: Error): void => {
    if (!isSaid) note(`waiting up to ${START_MS / 1000} s for the database: ${why.message}`);
    isSaid = true;
  };
  return { busyMs: START_MS, signal, onWait };
}

/** REEVE_LEASE_TTL_MS shortens leases, for tests of what happens when they end; every process of a store needs the same. */
function leaseTtlMs(env: OpenJobsOptions['env']): number {
  const given = Number(env['REEVE_LEASE_TTL_MS'] ?? LEASE_TTL_MS);
  return given >= 300 && given <= LEASE_TTL_MS ? given : LEASE_TTL_MS;
}
