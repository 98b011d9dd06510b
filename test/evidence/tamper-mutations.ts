/** Random damage that a seed repeats: to the archive, to the texts in it, and to texts that are then hashed again. */
import { filesIn, rehashed } from './support.ts';

type Random = () => number;

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)]!;

/** Pieces that readers of JSON, of lines and of times stumble over. */
const PIECES = [
  [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '\n',
    '\r',
    ' ',
    '\t',
    '\0',
    '\ufeff',
    '\u2028',
    '\u00a0',
    '""',
    '{}',
    '[]',
    '[[[[',
    '\u{1f600}',
    'é',
    '\n\n',
    '}\n{',
  ],
  ['null', 'true', '-0', '1e999', '1E5', '0.1', '01', '9007199254740993', '"x":1,', '"schema_id":"x",'],
  [String.raw`\ud800`, String.raw`\u0022`, String.raw`\u0000`, 'a'.repeat(64), '0'.repeat(64)],
  ['Z', '+00:00', '.000', 'T24:', '-02-30', 'evt_', 'cp_1'],
].flat();

function mutatedText(text: string, random: Random): string {
  const at = Math.floor(random() * (text.length + 1));
  const length = 1 + Math.floor(random() ** 4 * 200);
  const lines = text.split('\n');
  const line = Math.floor(random() * lines.length);
  switch (Math.floor(random() * 8)) {
    case 0:
      return text.slice(0, at) + text.slice(at + length);
    case 1:
      return text.slice(0, at) + pick(random, PIECES) + text.slice(at);
    case 2:
      return text.slice(0, at) + pick(random, PIECES) + text.slice(at + length);
    case 3:
      return text.slice(0, at) + text.slice(at, at + length) + text.slice(at);
    case 4:
      return lines.toSpliced(line, 1).join('\n');
    case 5:
      return lines.toSpliced(Math.floor(random() * lines.length), 0, lines[line]!).join('\n');
    case 6: {
      // A word for another one of the same text: types, ids, times and hashes change places.
      const words = text.match(/"[^"\\]*"/g) ?? ['""'];
      return text.replace(pick(random, words), () => pick(random, words));
    }
    default:
      return text.replace(/\d+/g, (digits) =>
        random() < 3 / text.length ? `${Number(digits) + 1}` : digits,
      );
  }
}

/** Numbers in the headers, and single bytes anywhere. */
function mutatedBytes(pack: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(pack);
  const headers: number[] = [];
  for (let at = bytes.indexOf('PK'); at !== -1; at = bytes.indexOf('PK', at + 1)) headers.push(at);
  for (let left = 1 + Math.floor(random() * 3); left > 0; left -= 1) {
    if (random() < 0.2) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      continue;
    }
    const at = Math.min(pick(random, headers) + 4 + Math.floor(random() * 44), bytes.length - 4);
    const old = bytes.readUInt32LE(at);
    const values = [
      0,
      1,
      8,
      20,
      0xffff,
      0xffffffff,
      0x7fffffff,
      old + 1,
      old - 1,
      old ^ 0x80000000,
      bytes.length,
    ];
    const value = pick(random, values) >>> 0;
    if (random() < 0.5) bytes.writeUInt16LE(value & 0xffff, at);
    else bytes.writeUInt32LE(value, at);
  }
  if (random() > 0.1) return bytes;
  const from = Math.floor(random() * bytes.length);
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + Math.floor(random() * 100))]);
}

/** One of these packs, damaged. */
export function mutated(packs: readonly Buffer[], random: Random): Buffer {
  const pack = pick(random, packs);
  if (random() < 0.4) return mutatedBytes(pack, random);
  const files = new Map<string, string | Uint8Array>(filesIn(pack));
  const method = random() < 0.3 ? 'deflated' : 'stored';
  for (let left = 1 + Math.floor(random() * 2); left > 0; left -= 1) {
    const name = pick(random, [...files.keys()]);
    if (name === 'manifest.json') continue;
    const text = mutatedText(String(files.get(name)), random);
    if (random() < 0.03) files.delete(name);
    else if (random() < 0.05) files.set(name, Buffer.from(text, 'latin1'));
    else files.set(name, text.toWellFormed());
  }
  const change = (manifest: Record<string, unknown>): void => {
    if (random() < 0.05) manifest['job_id'] = pick(random, ['x', '', 'demo', 'job_v']);
    if (random() < 0.05) (manifest['files'] as unknown[]).reverse();
  };
  return rehashed(files, { change, entry: { method } });
}
