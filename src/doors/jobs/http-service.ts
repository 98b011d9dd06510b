import type { Jobs } from './jobs.ts';
import type { JobRunner } from './runner.ts';

/** What the routes act on. It is asked for when a request comes, so that the routes can be described without it. */
export interface JobService {
  readonly jobs: Jobs;
  readonly runner: JobRunner;
  /** Where packs and reports go, absolute. */
  readonly outDir: string;
  /** Who decides when a request does not say. */
  readonly defaultActor: string;
  /** Callers are known by their tokens: only who has a name may decide. */
  readonly namedCallers: boolean;
  /** Ends what is done for a request and is no job. */
  readonly stopping: AbortSignal;
}

export type ServiceOf = () => JobService;
