/**
 * npm run simulate:mutants -- [--seeds N] [--only PATTERN]
 *
 * Plants one fault after the other in a copy of the source and lives worlds on it until one of them shows it; where a
 * mutant names a test instead, that must fail on it, and pass on the source as it is.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MUTANTS, type Mutant, type NamedTest } from './mutants.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Of the mutants that are no equivalents, this share must be found. */
const FOUND_MIN = 0.95;
/** A world takes a tenth of a second: one that takes this long does not end, milliseconds. */
const SILENCE_MS = 90_000;
const MEMORY = '--max-old-space-size=1024';

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1500' }, only: { type: 'string', default: '' } },
});
const ONLY = new RegExp(values.only);
const seeds = Number(values.seeds);
if (!Number.isSafeInteger(seeds) || seeds < 1)
  throw new TypeError(`--seeds must be a whole number above 0, not ${values.seeds}`);

interface Verdict {
  readonly mutant: Mutant;
  /** Worlds until it was found; undefined when it was not. */
  readonly seeds: number | undefined;
  readonly rule: string;
  readonly seconds: number;
}

/** A copy of the source with a fault planted in it, or as it is. */
function plant(mutant?: Mutant, test?: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-mutant-'));
  cpSync(join(ROOT, 'src'), join(dir, 'src'), { recursive: true });
  cpSync(join(ROOT, 'test'), join(dir, 'test'), {
    recursive: true,
    filter: (path) => !/\.test\.ts$|fixtures/.test(path) || path === join(ROOT, test ?? ''),
  });
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  if (mutant === undefined) return dir;
  const file = join(dir, mutant.file);
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(mutant.find, () => mutant.replace),
  );
  return dir;
}

interface Ended {
  readonly code: number | null;
  readonly isKilled: boolean;
  readonly said: string;
  readonly complained: string;
}

/** In a process of its own: a mutant may also hang or crash it. Killed once it has said nothing for long. */
function run(dir: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
    const kill = (): boolean => child.kill('SIGKILL');
    let watchdog = setTimeout(kill, SILENCE_MS);
    let [said, complained] = ['', ''];
    child.stdout.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-2000);
      clearTimeout(watchdog);
      watchdog = setTimeout(kill, SILENCE_MS);
    });
    child.stderr.on('data', (bytes: Buffer) => (complained += bytes.toString()));
    child.on('close', (code, signal) => {
      clearTimeout(watchdog);
      resolve({ code, isKilled: signal !== null, said, complained });
    });
  });
}

/** Lives worlds on the mutant's copy. */
async function hunt(mutant: Mutant): Promise<Verdict> {
  const startMs = performance.now();
  const dir = plant(mutant);
  const hunter = [MEMORY, join(dir, 'test/simulation/hunt.ts'), String(seeds)];
  const { code, isKilled, said, complained } = await run(dir, hunter);
  rmSync(dir, { recursive: true, force: true });
  const seconds = (performance.now() - startMs) / 1000;
  const [tried, ...rule] = (said.trim().split('\n').at(-1) ?? '').split(' ');
  if (code === 3) return { mutant, seeds: Number(tried), rule: rule.join(' '), seconds };
  if (code === 0) return { mutant, seeds: undefined, rule: '', seconds };
  if (isKilled) return { mutant, seeds: Number(tried), rule: 'it runs in circles', seconds };
  const error = complained.split('\n').find((line) => /Error/.test(line)) ?? '';
  return { mutant, seeds: 0, rule: `it crashes: ${error}`, seconds };
}

/** Whether the one test that a mutant names passes on its copy, or on the source as it is. */
async function passes({ file, name }: NamedTest, mutant?: Mutant): Promise<boolean> {
  const dir = plant(mutant, file);
  const vitest = join(dir, 'node_modules/vitest/vitest.mjs');
  const pattern = `${name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
  const report = join(dir, 'report.json');
  const { isKilled, complained } = await run(dir, [
    vitest,
    'run',
    `--root=${dir}`,
    '--reporter=json',
    `--outputFile=${report}`,
    '--testTimeout=30000',
    `--testNamePattern=${pattern}`,
    file,
  ]);
  const text = isKilled || !existsSync(report) ? '{}' : readFileSync(report, 'utf8');
  rmSync(dir, { recursive: true, force: true });
  if (isKilled) return false;
  const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(text) as Record<string, number>;
  // Exactly this test has to say so: a file that cannot be read finds nothing.
  if (passed === 1 && failed === 0) return true;
  if (passed === 0 && failed === 1) return false;
  throw new Error(`${file}: '${name}' is not one test: ${complained.slice(0, 500)}`);
}

const isSound = new Map<string, Promise<boolean>>();

/** Runs the named test, which must pass on the source as it is. */
async function ask(mutant: Mutant, test: NamedTest): Promise<Verdict> {
  const key = `${test.file} ${test.name}`;
  const sound = isSound.get(key) ?? passes(test);
  isSound.set(key, sound);
  if (!(await sound)) throw new Error(`${key} fails on the source as it is`);
  const startMs = performance.now();
  const isFound = !(await passes(test, mutant));
  const seconds = (performance.now() - startMs) / 1000;
  return { mutant, seeds: isFound ? 0 : undefined, rule: `${test.file}: ${test.name}`, seconds };
}

// Equivalents last: they are lived to the end.
const waiting = MUTANTS.filter(({ file, says }) => ONLY.test(`${file} ${says}`)).toSorted(
  (a, b) => Number(a.equivalent !== undefined) - Number(b.equivalent !== undefined),
);
const verdicts: Verdict[] = [];
const startMs = performance.now();
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const verdict = mutant.test === undefined ? await hunt(mutant) : await ask(mutant, mutant.test);
      verdicts.push(verdict);
      const { seeds: tried, rule, seconds } = verdict;
      const by = mutant.test === undefined ? `found in ${tried} seeds` : 'found by its test';
      const found = tried === undefined ? 'SURVIVES' : by;
      process.stdout.write(
        `${found.padEnd(22)} ${seconds.toFixed(1).padStart(5)} s  ${mutant.says}  ${rule.slice(0, 90)}\n`,
      );
    }
  }),
);
const real = verdicts.filter(({ mutant }) => mutant.equivalent === undefined);
const found = real.filter(({ seeds: tried }) => tried !== undefined);
const inWorlds = found.filter(({ mutant }) => mutant.test === undefined);
const share = found.length / Math.max(1, real.length);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const sorted = (numbers: readonly number[]): readonly number[] => numbers.toSorted((a, b) => a - b);
const spread = (numbers: readonly number[], digits: number): string => {
  const all = sorted(numbers);
  const at = (part: number): string => (all[Math.floor((all.length - 1) * part)] ?? 0).toFixed(digits);
  return `median ${at(0.5)}, 90 % ${at(0.9)}, most ${at(1)}`;
};
for (const { mutant } of real.filter((verdict) => !found.includes(verdict)))
  say(`survives: ${mutant.file}: ${mutant.says}`);
for (const { mutant, seeds: tried } of verdicts)
  if (mutant.equivalent !== undefined && tried !== undefined)
    say(`called equivalent, and found: ${mutant.file}: ${mutant.says}`);
say(
  `worlds until found: ${spread(
    inWorlds.map(({ seeds: tried = 0 }) => tried),
    0,
  )}`,
);
say(
  `seconds until found: ${spread(
    inWorlds.map(({ seconds }) => seconds),
    1,
  )}`,
);
say(
  `mutants: ${found.length} of ${real.length} found (${(share * 100).toFixed(1)} %), ` +
    `${inWorlds.length} by worlds, ${found.length - inWorlds.length} by the test they name, ${verdicts.length - real.length} equivalent, ${((performance.now() - startMs) / 1000).toFixed(0)} s`,
);
if (share < FOUND_MIN) process.exitCode = 1;
