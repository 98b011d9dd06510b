/** Every system that can be measured, in the order of the tables. */
export interface Entry {
  readonly name: string;
  readonly title: string;
  /** The module with `open`, beside this one. */
  readonly module: string;
  readonly kind: 'bound' | 'ours' | 'peer';
  /** What must be there: a program, or a package of bench/peers. */
  readonly needs: readonly ('postgres' | 'redis-server' | 'peers')[];
  /** Whether its effects can be in another process. */
  readonly elsewhere: boolean;
  /** Only one client makes sense of it. */
  readonly alone?: true;
}

export const CATALOG: readonly Entry[] = [
  {
    name: 'bare-fdatasync',
    title: 'bare fdatasync of 300 bytes',
    module: './bare-fdatasync.ts',
    kind: 'bound',
    needs: [],
    elsewhere: false,
    alone: true,
  },
  {
    name: 'bare-sqlite',
    title: 'bare SQLite insert',
    module: './bare-sqlite.ts',
    kind: 'bound',
    needs: [],
    elsewhere: false,
    alone: true,
  },
  {
    name: 'bare-rows',
    title: "bare SQLite, the rows of Reeve's steps",
    module: './bare-rows.ts',
    kind: 'bound',
    needs: [],
    elsewhere: false,
  },
  {
    name: 'bare-postgres',
    title: 'bare PostgreSQL insert',
    module: './bare-postgres.ts',
    kind: 'bound',
    needs: ['postgres'],
    elsewhere: false,
  },
  {
    name: 'reeve',
    title: 'Reeve',
    module: './reeve-sqlite.ts',
    kind: 'ours',
    needs: [],
    elsewhere: true,
  },
  {
    name: 'reeve-plan',
    title: 'Reeve, a declared plan',
    module: './reeve-plan.ts',
    kind: 'ours',
    needs: [],
    elsewhere: false,
  },
  {
    name: 'reeve-postgres',
    title: 'Reeve on PostgreSQL',
    module: './reeve-postgres.ts',
    kind: 'ours',
    needs: ['postgres'],
    elsewhere: true,
  },
  {
    name: 'restate',
    title: 'Restate',
    module: '../peers/restate.ts',
    kind: 'peer',
    needs: ['peers'],
    elsewhere: true,
  },
  {
    name: 'dbos',
    title: 'DBOS on PostgreSQL',
    module: '../peers/dbos.ts',
    kind: 'peer',
    needs: ['peers', 'postgres'],
    elsewhere: true,
  },
  {
    name: 'bullmq',
    title: 'BullMQ on Redis, AOF always',
    module: '../peers/bullmq.ts',
    kind: 'peer',
    needs: ['peers', 'redis-server'],
    elsewhere: true,
  },
  {
    name: 'graphile-worker',
    title: 'graphile-worker on PostgreSQL',
    module: '../peers/graphile.ts',
    kind: 'peer',
    needs: ['peers', 'postgres'],
    elsewhere: true,
  },
];
