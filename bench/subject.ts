// One measurement of one system, in a process of its own so that none inherits the heap of another. Prints JSON.
import { CATALOG } from './systems/catalog.ts';
import { residentBytes, type Place, type System, type SystemModule } from './systems/system.ts';
import { quantile } from './measure.ts';

export interface Order {
  readonly system: string;
  readonly place: Place;
  readonly clients: readonly number[];
  /** About how long each count of clients is measured. */
  readonly seconds: number;
  readonly dispatches: number;
  readonly children: number;
  /** Steps of one run; 0: none. */
  readonly long: number;
  /** Nothing but one more step of a long run that a process before has left. */
  readonly resume: boolean;
}

export interface StepsMeasured {
  readonly clients: number;
  /** Of a step, milliseconds; missing where the effects are elsewhere. */
  readonly p50?: number;
  readonly p99?: number;
  readonly perSecond: number;
}

export interface Measured {
  readonly steps: readonly StepsMeasured[];
  readonly accepted?: number;
  readonly begun?: number;
  readonly begunP99?: number;
  /** Seconds. */
  readonly fanOut?: number;
  readonly long?: LongMeasured;
  readonly resumeMs?: number;
}

export interface LongMeasured {
  readonly steps: number;
  /** Median step of the first and of the last thousand, milliseconds. */
  readonly first: number;
  readonly last: number;
  /** What the process grew by, and its server where it has one of its own. */
  readonly grownBytes: number;
  readonly serverBytes?: number;
  /** Undefined: to be asked of the database. */
  readonly diskBytes?: number;
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}

async function measureSteps(system: System, clients: number, about: number): Promise<StepsMeasured> {
  // A short run first: it warms the code up and says how many steps fill the time.
  const pilot = Math.max(5, Math.ceil(200 / clients));
  const took = await seconds(() => system.steps(clients, pilot));
  const each = Math.max(pilot, Math.min(20_000, Math.round((pilot / took) * about)));
  let times: readonly number[] = [];
  const all = await seconds(async () => {
    times = await system.steps(clients, each);
  });
  const perSecond = (each * clients) / all;
  if (times.length === 0) return { clients, perSecond };
  const sorted = times.toSorted((a, b) => a - b);
  return { clients, perSecond, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
}

async function measureLong(system: System, steps: number): Promise<LongMeasured> {
  await system.steps(1, 1000); // compiled and warm, in another run
  collect();
  const before = process.memoryUsage.rss();
  const diskBefore = system.bytes?.() ?? 0;
  const times = await system.steps(1, steps);
  collect();
  const grownBytes = process.memoryUsage.rss() - before;
  const middle = (part: readonly number[]): number =>
    quantile(
      part.toSorted((a, b) => a - b),
      0.5,
    );
  const serverBytes = system.serverPid === undefined ? undefined : residentBytes(system.serverPid);
  return {
    steps,
    first: middle(times.slice(0, 1000)),
    last: middle(times.slice(-1000)),
    grownBytes,
    ...(serverBytes === undefined ? {} : { serverBytes }),
    ...(system.bytes === undefined ? {} : { diskBytes: system.bytes() - diskBefore }),
  };
}

/** What is garbage is not what a run keeps; needs `--expose-gc`. */
function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

async function measure({
  system: name,
  place,
  clients,
  seconds: about,
  dispatches,
  children,
  long,
  resume,
}: Order): Promise<Measured> {
  const entry = CATALOG.find((one) => one.name === name);
  if (entry === undefined) throw new Error(`there is no system '${name}'`);
  const url = new URL(entry.module, new URL('systems/', import.meta.url)).href;
  const module = (await import(url)) as SystemModule;
  if (resume) return { steps: [], resumeMs: (await seconds(async () => module.resume?.(place))) * 1000 };
  const system = await module.open(place);
  try {
    const steps: StepsMeasured[] = [];
    for (const count of clients) steps.push(await measureSteps(system, count, about));
    const found: { -readonly [K in keyof Measured]: Measured[K] } = { steps };
    if (dispatches > 0 && system.dispatch !== undefined) {
      const all = [];
      for (let n = 0; n < dispatches; n += 1) all.push(await system.dispatch());
      const accepted = all.map(({ acceptedMs }) => acceptedMs).toSorted((a, b) => a - b);
      const begun = all.map(({ begunMs }) => begunMs).toSorted((a, b) => a - b);
      found.accepted = quantile(accepted, 0.5);
      found.begun = quantile(begun, 0.5);
      found.begunP99 = quantile(begun, 0.99);
    }
    if (children > 0 && system.fanOut !== undefined) {
      const { fanOut } = system;
      found.fanOut = await seconds(() => fanOut(children));
    }
    if (long > 0) found.long = await measureLong(system, long);
    return found;
  } finally {
    await system.close();
  }
}

const found = await measure(JSON.parse(process.argv[2] ?? '') as Order);
process.stdout.write(`\n${JSON.stringify(found)}\n`, () => process.exit());
