// A process that serves files of the run `r1`, which agent `a1` holds with lease `l1`: to be killed, or measured.
import { FilesRig } from './rig.ts';

const [dir = ''] = process.argv.slice(2);
const rig = await FilesRig.open(dir);
rig.runs.lend('default', 'r1', 'a1', 'l1');
process.stdout.write(`${rig.address}\n`);
process.stdin.resume().on('end', () => process.exit(0));
