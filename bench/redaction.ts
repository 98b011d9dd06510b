// How many MB redaction lets through per second of processor time, which others at work on the machine hardly change,
// beside a bare copy of the same chunks. `npm run bench:redaction`
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { Redaction, type RedactionRules } from '../src/policy/redaction/redaction.ts';
import { machine } from './measure.ts';

const { values: flags } = parseArgs({
  options: {
    repetitions: { type: 'string', default: '5' },
    megabytes: { type: 'string', default: '32' },
  },
});
const REPETITIONS = Number(flags.repetitions);
const BYTES = Number(flags.megabytes) * 1e6;
/** What a pipe of a command gives at a time. */
const CHUNK_BYTES = 64 * 1024;

/** The same numbers every time (mulberry32). */
let state = 1;
function random(below: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
}

/** A million bytes of lines, again and again. */
function lines(line: (index: number) => string): Buffer {
  let text = '';
  for (let index = 0; text.length < 1e6; index += 1) text += line(index);
  const block = Buffer.from(text);
  const all = Buffer.alloc(BYTES);
  for (let at = 0; at < all.length; at += block.length) block.copy(all, at);
  return all;
}

function logLine(index: number): string {
  const time = `2026-11-21T10:${10 + random(50)}:05.${100 + random(900)}Z`;
  return `${time} INFO http.server request served path=/api/items/${index} status=200 bytes=${random(9999)} ms=${random(99)} agent="curl/8.5"\n`;
}

const HINTS = [
  'DEBUG fetched https://example.org:8443/a/b?page=2, token refreshed for ada\n',
  'INFO secret: <none>, password=*** and Authorization: $TOKEN as they should be\n',
  'WARN task-1 on disk-0: api_key: null, bearer of bad news\n',
];
const SECRET = `GET /login password=${'hunter22'.repeat(2)} Authorization: Bearer ${'a1b2'.repeat(8)}\n`;
const INPUTS: Readonly<Record<string, Buffer>> = {
  'log, clean': lines(logLine),
  'log, a hint in each third line': lines((at) => (at % 3 === 0 ? (HINTS[random(3)] ?? '') : logLine(at))),
  'log, a secret in each tenth line': lines((at) => (at % 10 === 0 ? SECRET : logLine(at))),
  'a hint in each line': lines(() => HINTS[random(3)] ?? ''),
  binary: lines(() => String.fromCharCode(...Array.from({ length: 64 }, () => random(256)))),
  'one long line of JSON': lines((at) => `{"id":${at},"name":"item ${random(999)}","price":${random(99)}},`),
};
const VALUES = Array.from({ length: 5 }, (_, at) => `${at}${'kV7-pQz9'.repeat(3)}+/${random(1e9)}`);
const RULES: Readonly<Record<string, RedactionRules>> = {
  alone: {},
  '5 known values': { values: VALUES },
  'and 2 patterns': {
    values: VALUES,
    patterns: [
      { type: 'ACME_TOKEN', pattern: 'ACME-[A-Z0-9]{8,}' },
      { type: 'BADGE', pattern: 'badge=[0-9]{6}' },
    ],
  },
};

function megabytesPerSecond(bytes: Buffer, pass: () => (chunk: Buffer) => Buffer): string {
  let best = Number.POSITIVE_INFINITY;
  for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
    const push = pass();
    const from = process.cpuUsage();
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) push(bytes.subarray(at, at + CHUNK_BYTES));
    const { user, system } = process.cpuUsage(from);
    best = Math.min(best, user + system);
  }
  return (bytes.length / best).toFixed(0).padStart(7);
}

const [load = 0] = loadavg();
console.log(`${machine()}, load ${load.toFixed(1)}`);
console.log(`MB/s, the best of ${REPETITIONS}: ${flags.megabytes} MB in chunks of 64 KiB\n`);
console.log(`${''.padEnd(34)}${['a copy', ...Object.keys(RULES)].map((name) => name.padStart(16)).join('')}`);
for (const [name, bytes] of Object.entries(INPUTS)) {
  const speeds = [
    megabytesPerSecond(bytes, () => (chunk) => Buffer.from(chunk)),
    ...Object.values(RULES).map((rules) =>
      megabytesPerSecond(bytes, () => {
        const stream = new Redaction(rules).stream();
        return (chunk) => stream.push(chunk);
      }),
    ),
  ];
  console.log(name.padEnd(34) + speeds.map((speed) => speed.padStart(16)).join(''));
}
