/**
 * npm run simulate -- [--seeds N] [--from S] [--operations K] [--minutes M] [--jobs J] [--failures F] [--no-shrink]
 * npm run simulate -- --seed S
 *
 * Lives one world per seed and says what it found. Ends with 1 when an invariant did not hold, or with fewer operations
 * than `--operations-min`. With `--from-clock` the seeds begin somewhere else each time.
 */
import { parseArgs } from 'node:util';
import { runFleet, type Totals } from './fleet.ts';
import { shrink } from './shrink.ts';
import { simulate } from './simulation.ts';

const TRACE_LINES = 60;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    'from-clock': { type: 'boolean', default: false },
    'operations-min': { type: 'string', default: '1' },
    operations: { type: 'string' },
    minutes: { type: 'string' },
    jobs: { type: 'string' },
    failures: { type: 'string', default: '1' },
    'no-shrink': { type: 'boolean', default: false },
    /** A single seed, with its whole trace. */
    seed: { type: 'string' },
  },
});

/** @throws TypeError for an argument that is no whole number above 0. */
function count(name: Exclude<keyof typeof values, 'no-shrink' | 'from-clock'>): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new TypeError(`--${name} must be a whole number above 0, not ${text}`);
  return number;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function explain(seed: number): Promise<void> {
  const { violation, trace } = await simulate(seed);
  if (violation === undefined) return say(`seed ${seed}: every invariant holds`);
  say(`\nseed ${seed} breaks ${violation.rule}\n${violation.stack.split('\n').slice(0, 12).join('\n')}`);
  if (values['no-shrink']) {
    say(trace.slice(-TRACE_LINES).join('\n'));
  } else {
    const { replay, outcome, tries } = await shrink(seed, violation.rule);
    say(`\nthe last operations of the smallest world that shows it (${tries} replays):`);
    say(outcome.trace.slice(-TRACE_LINES).join('\n'));
    say('\nwhat it takes:');
    for (const { id, slot, call, kind, ms } of replay.faults)
      say(`  ${id}: ${kind} at call ${call} of ${slot}, ${ms} ms`);
    for (const { id, atMs, slot, kind, run } of replay.deeds)
      say(`  ${id}: ${slot} does '${kind}' to r${run} at ${atMs / 1000} s`);
    say(`\n${outcome.violation?.message ?? ''}`);
  }
  say(`\nagain: npm run simulate -- --seed ${seed}`);
}

function report(totals: Totals, seconds: number): void {
  const { seeds, steps, checks, faults, events, failures } = totals;
  const rate = Math.round(steps / seconds);
  say(
    `simulation: ${seeds} seeds, ${steps} operations (${rate}/s), ${events} events, ${faults} faults, ` +
      `${checks} checks of I1 to I8 and liveness, ${failures.length} failures, ${seconds.toFixed(0)} s`,
  );
}

const single = count('seed');
if (single !== undefined) {
  await explain(single);
} else {
  const [minutes, seeds, operations, jobs] = [
    count('minutes'),
    count('seeds'),
    count('operations'),
    count('jobs'),
  ];
  const startMs = performance.now();
  const isBounded = minutes !== undefined || operations !== undefined;
  const totals = await runFleet({
    from: count('from') ?? (values['from-clock'] ? Math.floor(Date.now() / 1000) : 1),
    failuresMax: count('failures') ?? 1,
    ...(seeds === undefined && isBounded ? {} : { seeds: seeds ?? 100 }),
    ...(operations === undefined ? {} : { operations }),
    ...(minutes === undefined ? {} : { deadlineMs: startMs + minutes * 60_000 }),
    ...(jobs === undefined ? {} : { jobs }),
  });
  const seconds = (performance.now() - startMs) / 1000;
  for (const { seed, violation } of totals.failures.slice(1))
    say(`seed ${seed} breaks ${violation?.message.split('\n')[0] ?? ''}`);
  const [first] = totals.failures;
  if (first !== undefined) {
    await explain(first.seed);
    process.exitCode = 1;
  }
  report(totals, seconds);
  if (totals.steps < (count('operations-min') ?? 1)) {
    say(`that is less than the ${values['operations-min']} operations asked for`);
    process.exitCode = 1;
  }
}
