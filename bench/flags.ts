import { parseArgs } from 'node:util';
import { CATALOG, type Entry } from './systems/catalog.ts';

export const SCENARIOS = [
  'steps',
  'dispatch',
  'fan-out',
  'long-run',
  'parked',
  'crash',
  'commands',
  'evidence',
] as const;
type Scenario = (typeof SCENARIOS)[number];
export const CLIENTS: readonly number[] = [1, 8, 32, 128];

const USAGE = `node bench/run.ts [options]
  --peers              beside the others; installs them into bench/peers
  --write              into docs/benchmarks.md and docs/benchmarks.svg
  --quick              a few seconds for each: to see that it works
  --scenarios a,b      of ${SCENARIOS.join(', ')}; default all
  --systems a,b        of ${CATALOG.map(({ name }) => name).join(', ')}
  --repetitions n      default 5
  --seconds n          for each system and count of clients; default 1.5
  --steps n            of the long run, default 100000; systems on a database server take a fifth, peers a tenth
  --runs n             that are parked or live, default 100000; on a database server a tenth
  --dir path           on the disk that is measured; default here
`;

export interface Flags {
  readonly peers: boolean;
  readonly write: boolean;
  readonly repetitions: number;
  readonly seconds: number;
  readonly steps: number;
  readonly runs: number;
  readonly children: number;
  readonly dir: string;
  readonly systems: readonly Entry[];
  has(scenario: Scenario): boolean;
}

export function flagsOf(args: readonly string[]): Flags {
  const { values } = parseArgs({
    args: [...args],
    options: {
      peers: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      scenarios: { type: 'string' },
      systems: { type: 'string' },
      repetitions: { type: 'string' },
      seconds: { type: 'string' },
      steps: { type: 'string' },
      runs: { type: 'string' },
      dir: { type: 'string', default: '.' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit();
  }
  const { quick } = values;
  const scenarios = among(values.scenarios, SCENARIOS);
  const names = among(
    values.systems,
    CATALOG.map(({ name }) => name),
  );
  return {
    peers: values.peers,
    write: values.write,
    repetitions: Number(values.repetitions ?? (quick ? 2 : 5)),
    seconds: Number(values.seconds ?? (quick ? 0.3 : 1.5)),
    steps: Number(values.steps ?? (quick ? 10_000 : 100_000)),
    runs: Number(values.runs ?? (quick ? 10_000 : 100_000)),
    children: 1000,
    dir: values.dir,
    systems: CATALOG.filter(({ name, kind }) => names.has(name) && (values.peers || kind !== 'peer')),
    has: (scenario) => scenarios.has(scenario),
  };
}

function among(text: string | undefined, all: readonly string[]): ReadonlySet<string> {
  const given = text?.split(',') ?? all;
  const stranger = given.find((one) => !all.includes(one));
  if (stranger !== undefined) {
    process.stderr.write(`'${stranger}' is not one of ${all.join(', ')}\n\n${USAGE}`);
    process.exit(6);
  }
  return new Set(given);
}
