// DBOS Transact: a client is a workflow, a step is `DBOS.runStep`, whose result is a row of PostgreSQL before the workflow
// goes on. Elsewhere: workflows go through a queue to a worker process, which polls it.
import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk';
import { Inbox, nowMs, startWorker, type Place, type System, type Told } from '../systems/system.ts';

const QUEUE = 'bench';
const VERSION = 'bench';
/** The default is 1000; the least that the contention of 128 workflows bears well here. */
const POLL_MS = 20;

const silent = { info() {}, debug() {}, warn() {}, error: (text: unknown) => console.error(text) };
let times: number[] = [];
let tellBegun: (message: Told) => void = () => undefined;

const steps = DBOS.registerWorkflow(
  async (each: number): Promise<number> => {
    for (let n = 0; n < each; n += 1) {
      const before = performance.now();
      await DBOS.runStep(async () => n, { name: 'step' });
      times.push(performance.now() - before);
    }
    return each;
  },
  { name: 'steps' },
);

const one = DBOS.registerWorkflow(
  async (id: string): Promise<number> => {
    await DBOS.runStep(
      async () => {
        tellBegun({ kind: 'begun', id, atMs: nowMs() });
      },
      { name: 'step' },
    );
    return 1;
  },
  { name: 'one' },
);

const parent = DBOS.registerWorkflow(
  async (children: number): Promise<number> => {
    await Promise.all(
      Array.from({ length: children }, (_, n) => DBOS.runStep(async () => n, { name: `child-${n}` })),
    );
    return children;
  },
  { name: 'parent' },
);

async function launch({ postgres, clientsMax }: Place, tell: (message: Told) => void): Promise<void> {
  tellBegun = tell;
  DBOS.setConfig({
    name: 'bench',
    systemDatabaseUrl: postgres,
    systemDatabasePoolSize: 20,
    applicationVersion: VERSION,
    logger: silent,
  });
  await DBOS.launch();
  await DBOS.registerQueue(QUEUE, { workerConcurrency: clientsMax, minPollingIntervalMs: POLL_MS });
}

export async function work(place: Place, tell: (message: Told) => void): Promise<() => Promise<void>> {
  await launch(place, tell);
  return () => DBOS.shutdown();
}

export async function open(place: Place): Promise<System> {
  return place.elsewhere ? openElsewhere(place) : openHere(place);
}

async function openHere(place: Place): Promise<System> {
  const begun = new Inbox<number>();
  await launch(place, ({ id, atMs }) => begun.put(id, atMs));
  let count = 0;
  return {
    async steps(clients, each) {
      times = [];
      await Promise.all(Array.from({ length: clients }, () => steps(each)));
      return times;
    },
    async dispatch() {
      count += 1;
      const id = `one-${count}`;
      const fromMs = nowMs();
      const handle = await DBOS.startWorkflow(one, { workflowID: id })(id);
      const acceptedMs = nowMs() - fromMs;
      const begunMs = (await begun.take(id)) - fromMs;
      await handle.getResult();
      return { acceptedMs, begunMs };
    },
    fanOut: async (children) => void (await parent(children)),
    close: () => DBOS.shutdown(),
  };
}

async function openElsewhere(place: Place): Promise<System> {
  const begun = new Inbox<number>();
  const stop = await startWorker(import.meta.url, place, ({ id, atMs }) => begun.put(id, atMs));
  const client = await DBOSClient.create({ systemDatabaseUrl: place.postgres, logger: silent });
  const enqueue = (workflowName: string, argument: unknown) =>
    client.enqueue<(argument: unknown) => Promise<number>>(
      { workflowName, queueName: QUEUE, appVersion: VERSION },
      argument,
    );
  const poll = { pollingIntervalMs: 10 };
  let count = 0;
  return {
    async steps(clients, each) {
      const handles = await Promise.all(Array.from({ length: clients }, () => enqueue('steps', each)));
      await Promise.all(handles.map((handle) => handle.getResult(poll)));
      return [];
    },
    async dispatch() {
      count += 1;
      const id = `one-${count}`;
      const fromMs = nowMs();
      const handle = await enqueue('one', id);
      const acceptedMs = nowMs() - fromMs;
      const begunMs = (await begun.take(id)) - fromMs;
      await handle.getResult(poll);
      return { acceptedMs, begunMs };
    },
    async fanOut(children) {
      await (await enqueue('parent', children)).getResult(poll);
    },
    async close() {
      await client.destroy();
      await stop();
    },
  };
}
