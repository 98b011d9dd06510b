/** The files of runs as one part of the control plane: routes, port and upkeep on one index and one place for bytes. */
import type { Clock } from '../../../../engine/ports.ts';
import type { BlobStreams } from '../../../../store/blob-streams.ts';
import type { RunStore } from '../../../../store/run-store.ts';
import type { ServiceDatabase } from '../../../../store/sqlite/service-database.ts';
import type { Route } from '../../../http.ts';
import type { Audit, Ledger, RunFiles, SettingsOfTenants, TaskBoard } from '../ports.ts';
import type { PartFactory } from '../service.ts';
import { getRoutes } from './get-routes.ts';
import { FileIndex, SCHEMA } from './index-tables.ts';
import { leaseHistory } from './lease-history.ts';
import { openRollouts } from './open-rollouts.ts';
import { removeOrphans } from './orphans.ts';
import type { RunFilesOptions } from './put.ts';
import { putRoute } from './put-route.ts';
import { applyRetention, type Removed } from './retention.ts';
import { RunFileStore } from './run-files.ts';
import { runsRoutes } from './runs-routes.ts';
import { startSweeper } from './sweeper.ts';

type Limits = Pick<RunFilesOptions, 'fileBytesMax' | 'runBytesMax' | 'runFilesMax'>;

export interface FilesPartOptions extends Limits, Pick<RunFilesOptions, 'redactor' | 'onStored'> {
  /** Has the tables of `SCHEMA`. */
  readonly rows: ServiceDatabase;
  readonly blobs: BlobStreams;
  readonly ledger: Ledger;
  readonly audit: Audit;
  readonly board: Pick<TaskBoard, 'lease' | 'ofRun' | 'list'>;
  readonly settings: Pick<SettingsOfTenants, 'retention' | 'tenants'>;
  /** Of the engine: remembers every lease. */
  readonly store: Pick<RunStore, 'events'>;
  readonly clock: Clock;
  /** Whether a rollout has not ended, or waits for a review. */
  isRolloutOpen(tenant: string, rolloutId: string): Promise<boolean>;
}

export interface FilesPart {
  readonly files: RunFileStore;
  readonly routes: readonly Route[];
  applyRetention(): Promise<Removed>;
  removeOrphans(): Promise<number>;
  /** Upkeep in the background. @returns how to stop it */
  start(note: (text: string) => void): () => Promise<void>;
}

export function filesPart(options: FilesPartOptions): FilesPart {
  const { rows, clock, store, ...shared } = options;
  const index = new FileIndex(rows);
  const nowMs = (): number => clock.nowMs();
  const files = new RunFileStore({ ...shared, index, nowMs });
  const forget = (blobs: Iterable<string>): Promise<void> => files.forget(blobs);
  const upkeep = { ...shared, index, nowMs, forget };
  const part = {
    files,
    routes: [
      putRoute({ ...shared, files, leases: leaseHistory(store) }),
      ...getRoutes({ ...shared, index }),
      ...runsRoutes({ ...shared, index }),
    ],
    applyRetention: () => applyRetention(upkeep),
    removeOrphans: () => removeOrphans(upkeep),
  };
  return {
    ...part,
    start: (note) =>
      startSweeper({ clock, note, retention: part.applyRetention, orphans: part.removeOrphans }),
  };
}

export interface RunFilesChoices extends Limits {
  readonly blobs: BlobStreams;
  /** Upkeep that failed is told here. */
  note(text: string): void;
}

/** For `openControlPlane`. @returns with it, the files, for parts that are opened behind this one */
export function runFilesPart(choices: RunFilesChoices): PartFactory & { readonly files: RunFiles } {
  const { note, ...rest } = choices;
  let part: FilesPart | undefined;
  const opened = (): RunFileStore => {
    if (part === undefined) throw new TypeError('the files of runs are not opened yet');
    return part.files;
  };
  return {
    schema: SCHEMA,
    open(context) {
      const { engine, database, meter, redaction } = context;
      const files = filesPart({
        ...rest,
        ...context,
        rows: database.rows,
        store: engine.store,
        clock: engine.clock,
        isRolloutOpen: openRollouts(engine.store),
        redactor: (tenant) => redaction.stream(tenant),
        // What was replaced the redaction counts itself.
        onStored({ kind, size }) {
          meter?.observe('jarvas_artifact_bytes', { kind }, size);
        },
      });
      part = files;
      let stop: (() => Promise<void>) | undefined;
      return {
        routes: files.routes,
        start() {
          stop = files.start(note);
          return Promise.resolve();
        },
        stop: () => stop?.() ?? Promise.resolve(),
      };
    },
    files: {
      put: (upload) => opened().put(upload),
      list: (tenant, runId) => opened().list(tenant, runId),
      open: (...asked) => opened().open(...asked),
    },
  };
}
