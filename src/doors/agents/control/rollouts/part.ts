/** Rollouts as a part of the control plane. */
import type { RunFiles } from '../ports.ts';
import type { PartFactory } from '../service.ts';
import { ROLLOUTS_SCHEMA } from './rollout-index.ts';
import { Rollouts } from './rollouts.ts';
import { rolloutRoutes } from './routes.ts';

export interface RolloutsPartOptions {
  /** Reports of runs are read for criteria. */
  readonly files: Pick<RunFiles, 'open'>;
  /** Told of rollouts that cannot go on now. */
  note(text: string): void;
}

export function rolloutsPart({ files, note }: RolloutsPartOptions): PartFactory {
  return {
    schema: ROLLOUTS_SCHEMA,
    open(context) {
      const { engine, database, board } = context;
      const rollouts = new Rollouts({
        ...context,
        database: database.rows,
        files,
        nowMs: () => engine.clock.nowMs(),
        note,
      });
      return {
        routes: rolloutRoutes({ rollouts, board }),
        start: () => rollouts.open(),
        stop: () => rollouts.close(),
        rolloutCounts: async () => rollouts.counts(),
      };
    },
  };
}
