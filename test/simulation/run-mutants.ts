/**
 * npm run simulate:mutants -- [--seeds N] [--only PATTERN]
 *
 * Plants one fault after the other in a copy of the source and lives worlds on it until one of them shows it.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MUTANTS, type Mutant } from './mutants.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Of the mutants that are no equivalents, this share must be found. */
const FOUND_MIN = 0.95;
/** A world takes a tenth of a second: one that takes this long does not end, milliseconds. */
const SILENCE_MS = 90_000;

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

/** Lives worlds on the mutant's copy, in a process of its own: a mutant may also hang or crash it. */
function hunt(mutant: Mutant): Promise<Verdict> {
  const dir = mkdtempSync(join(tmpdir(), 'reeve-mutant-'));
  cpSync(join(ROOT, 'src'), join(dir, 'src'), { recursive: true });
  cpSync(join(ROOT, 'test'), join(dir, 'test'), {
    recursive: true,
    filter: (path) => !/\.test\.ts$|fixtures/.test(path),
  });
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  const file = join(dir, mutant.file);
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(mutant.find, () => mutant.replace),
  );
  const startMs = performance.now();
  const args = ['--max-old-space-size=1024', join(dir, 'test/simulation/hunt.ts'), String(seeds)];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let watchdog = setTimeout(() => child.kill('SIGKILL'), SILENCE_MS);
    let said = '';
    child.stdout.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-2000);
      clearTimeout(watchdog);
      watchdog = setTimeout(() => child.kill('SIGKILL'), SILENCE_MS);
    });
    let complained = '';
    child.stderr.on('data', (bytes: Buffer) => (complained += bytes.toString()));
    child.on('close', (code, signal) => {
      clearTimeout(watchdog);
      rmSync(dir, { recursive: true, force: true });
      const seconds = (performance.now() - startMs) / 1000;
      const last = said.trim().split('\n').at(-1) ?? '';
      const [tried, ...rule] = last.split(' ');
      if (code === 3) resolve({ mutant, seeds: Number(tried), rule: rule.join(' '), seconds });
      else if (code === 0) resolve({ mutant, seeds: undefined, rule: '', seconds });
      else if (signal !== null)
        resolve({ mutant, seeds: Number(tried), rule: 'it runs in circles', seconds });
      else
        resolve({
          mutant,
          seeds: 0,
          rule: `it crashes: ${
            complained
              .trim()
              .split('\n')
              .find((line) => /Error/.test(line)) ?? ''
          }`,
          seconds,
        });
    });
  });
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
      const verdict = await hunt(mutant);
      verdicts.push(verdict);
      const { seeds: tried, rule, seconds } = verdict;
      const found = tried === undefined ? 'SURVIVES' : `found in ${tried} seeds`;
      process.stdout.write(
        `${found.padEnd(22)} ${seconds.toFixed(1).padStart(5)} s  ${mutant.says}  ${rule.slice(0, 90)}\n`,
      );
    }
  }),
);
const real = verdicts.filter(({ mutant }) => mutant.equivalent === undefined);
const found = real.filter(({ seeds: tried }) => tried !== undefined);
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
    found.map(({ seeds: tried = 0 }) => tried),
    0,
  )}`,
);
say(
  `seconds until found: ${spread(
    found.map(({ seconds }) => seconds),
    1,
  )}`,
);
say(
  `mutants: ${found.length} of ${real.length} found (${(share * 100).toFixed(1)} %), ` +
    `${verdicts.length - real.length} equivalent, ${((performance.now() - startMs) / 1000).toFixed(0)} s`,
);
if (share < FOUND_MIN) process.exitCode = 1;
