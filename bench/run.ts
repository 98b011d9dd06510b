// Every measurement, in one run: `node bench/run.ts` for ours alone, with `--peers` beside the others, with `--write` into
// docs/benchmarks.md and docs/benchmarks.svg. The systems take turns, and that several times over.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { runScript } from './children.ts';
import { CLIENTS, flagsOf } from './flags.ts';
import { longRuns, manyRuns, sideBySide } from './measurements.ts';
import { busyNote, machine } from './measure.ts';
import { publish } from './page.ts';
import { Servers } from './servers.ts';
import { crashTable, longTable, parkedTable } from './tables/ours.ts';
import { writePicture } from './tables/picture.ts';
import { aims, dispatchTable, fanOutTable, latencyTable, throughputTable } from './tables/side-by-side.ts';

const flags = flagsOf(process.argv.slice(2));
// Of the machine's temporary folder it is not sure that it is on the disk that is measured: the servers lie here as well.
const root = mkdtempSync(resolve(flags.dir, '.bench-'));
chmodSync(root, 0o755); // a database server does not run as root
process.env['TMPDIR'] = root;
process.on('exit', () => rmSync(root, { recursive: true, force: true }));
const servers = await Servers.start(flags.systems);
const systems = flags.systems.filter((entry) => servers.has(entry));
const begun = performance.now();
const busy = busyNote();
const times = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
const head = `${busy}${[machine(), ...servers.versions].join('; ')}. ${times(flags.repetitions, 'repetition')}, the systems in turn; median (least–most).\n\n`;
/** Tables with peers are not overwritten by a run without them. */
const isWhole = flags.write && flags.peers;

try {
  const wanted = { steps: flags.has('steps'), dispatch: flags.has('dispatch'), fanOut: flags.has('fan-out') };
  if (wanted.steps || wanted.dispatch || wanted.fanOut) {
    const results = await sideBySide(servers, systems, { ...flags, ...wanted, root });
    if (wanted.steps) {
      const all = [
        latencyTable(results),
        'In process:',
        throughputTable(results, 'here', CLIENTS),
        'In another process:',
        throughputTable(results, 'elsewhere', CLIENTS),
        aims(results),
      ];
      publish('side-by-side', `${head}${all.join('\n\n')}\n`, isWhole);
      if (isWhole) writePicture(results, [machine(), ...servers.versions].join('; '));
    }
    if (wanted.dispatch) publish('dispatch', `${head}${dispatchTable(results)}\n`, isWhole);
    if (wanted.fanOut) publish('fan-out', `${head}${fanOutTable(results, flags.children)}\n`, isWhole);
  }
  if (flags.has('long-run')) {
    const rows = await longRuns(servers, systems, { ...flags, root });
    publish('long-run', `${busy}${machine()}; measured once.\n\n${longTable(rows)}\n`, isWhole);
  }
  if (flags.has('parked') || flags.has('crash')) {
    const rows = await manyRuns(servers, systems, { ...flags, root });
    if (flags.has('parked'))
      publish('parked', `${busy}${machine()}; measured once.\n\n${parkedTable(rows)}\n`, flags.write);
    if (flags.has('crash'))
      publish(
        'crash',
        `${busy}${machine()}; ${times(flags.repetitions, 'kill')}.\n\n${crashTable(rows)}\n`,
        flags.write,
      );
  }
} finally {
  await servers.close();
}
const own = ['--repetitions', String(flags.repetitions), ...(flags.write ? ['--write'] : [])];
if (flags.has('commands')) await runScript('commands.ts', own);
if (flags.has('evidence')) await runScript('evidence.ts', own);
process.stderr.write(`all in ${((performance.now() - begun) / 60_000).toFixed(1)} minutes\n`);
