// Files that a list of cases cannot hold: a key in binary data and in UTF-16, and one as a name. Made up, of parts.

import { writeFileSync } from 'node:fs';

const key = ['AK', 'IA', 'QWERTYUIOPASDFGH'].join('');
if (process.argv[2] === 'name') {
  writeFileSync(key, ['pass', 'word=correct-horse\n'].join(''));
} else {
  writeFileSync(
    'a.bin',
    Buffer.concat([Buffer.from([0, 1, 255, 0]), Buffer.from(` ${key} `), Buffer.alloc(9)]),
  );
  writeFileSync('b.txt', Buffer.from(`\ufefffirst\n${key}\n`, 'utf16le'));
}
process.stdout.write('{}\n');
