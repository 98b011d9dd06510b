/**
 * Packs that were tampered with by somebody who knows the format: everything is hashed again, also the chain. One table,
 * which both verifiers are held to. `says` is the exit code: 0 verified, 2 not what was recorded, 6 of a wrong form.
 */
import { rawZip, type RawEntry } from './raw-zip.ts';
import {
  editDocument,
  editLine,
  hash,
  jcs,
  referencePack,
  rehashed,
  without,
  filesIn,
  type Any,
  type Files,
  type RawFiles,
} from './support.ts';

export interface TamperCase {
  readonly name: string;
  readonly says: 0 | 2 | 6;
  readonly bytes: () => Buffer;
}

type Edit = (files: Files) => RawFiles;
/** One that leaves texts. */
type TextEdit = (files: Files) => Files;
type Row = readonly [name: string, says: 0 | 2 | 6, edit: Edit];

const RUN = 'reeve/run.json';
const CHAIN = 'reeve/events.jsonl';

/** Replaces a text that is there in an entry. */
function swap(path: string, from: string, to: string): TextEdit {
  return (files) => {
    const text = files.get(path) ?? '';
    if (!text.includes(from)) throw new Error(`${path} has no ${from}`);
    return new Map(files).set(
      path,
      text.replace(from, () => to),
    );
  };
}

function lines(path: string, change: (lines: string[]) => readonly (string | undefined)[]): TextEdit {
  return (files) => {
    const all = (files.get(path) ?? '').trimEnd().split('\n');
    const text = change(all).map((line) => `${line}\n`);
    return new Map(files).set(path, text.join(''));
  };
}

const all =
  (...edits: readonly TextEdit[]): TextEdit =>
  (files) =>
    edits.reduce((changed, edit) => edit(changed), files);

/** Changes the bodies of the chain and hashes it again, with the head and number in `reeve/run.json`. */
export function rechained(change: (links: Any[]) => Any[]): TextEdit {
  return (files) => {
    const links = (files.get(CHAIN) ?? '')
      .trimEnd()
      .split('\n')
      .map((line): Any => JSON.parse(line));
    let head = hash(`reeve.run:${JSON.parse(files.get(RUN) ?? '').job_id}`);
    const text = change(links).map((link) => {
      const body = typeof link.text === 'string' ? link.text : jcs(link.body);
      head = hash(`${head}\n${body}`);
      const spill = link.spill === undefined ? '' : `,"spill":${jcs(link.spill)}`;
      return `{"body":${body},"hash":"${head}"${spill}}\n`;
    });
    return editDocument(new Map(files).set(CHAIN, text.join('')), RUN, (run) => {
      run.chain = { events: text.length, head };
    });
  };
}

/** The first link of a type, changed in place. */
const link = (type: string, edit: (body: Any, link: Any) => void): TextEdit =>
  rechained((links) => {
    const found = links.find(({ body }) => body.event.type === type);
    if (found === undefined) throw new Error(`no ${type}`);
    edit(found.body, found);
    return links;
  });

const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;
const document =
  (path: string, edit: (record: Any) => void): TextEdit =>
  (files) =>
    editDocument(files, path, edit);
const line =
  (path: string, index: number, edit: (record: Any) => void): TextEdit =>
  (files) =>
    editLine(files, path, index, edit);
const note = (record: Any): void => {
  record.note = 'x';
};
const foreign = (record: Any): void => {
  record.job_id = 'job_w';
};

/** A payload of the third line in which a text stands as it is. */
const payload = (text: string): TextEdit =>
  swap('events.jsonl', '"step_index":0', `"step_index":0,"x":${text}`);
const time = (text: string): TextEdit => document('job.json', (job) => (job.created_at = text));

/** What no text can hold. */
function notText(path: string): Edit {
  return (files) => {
    const text = Buffer.from(files.get(path) ?? '');
    const broken = Buffer.concat([text.subarray(0, 20), Buffer.of(0xc0, 0xaf), text.subarray(20)]);
    return new Map<string, string | Uint8Array>(files).set(path, broken);
  };
}

/** Of a pack that the reference could have written. */
const PLAIN: readonly Row[] = [
  ['nothing changed', 0, (files) => files],
  ['a name twice in a document', 2, swap('job.json', '{', '{"status":"running",')],
  ['a name twice in an object below', 2, swap('job.json', '"step_count":9', '"step_count":1,"step_count":9')],
  ['a name twice in a line', 2, payload('1,"x":2')],
  ['a name twice, once in escapes', 2, payload(String.raw`1,"\u0078":1`)],
  ['a name twice, deep in lists', 2, payload('[[{"a":[],"b":{},"a":1}]]')],
  ['the same name in two objects', 0, payload('[{"a":1},{"a":1}]')],
  ['colons and quotes in texts', 0, payload(String.raw`"a\":{\\\\\":[:"`)],
  ['a name that is an index, or a prototype', 0, payload('{"10":1,"9":2,"__proto__":3,"constructor":4}')],
  ['a prototype twice', 2, payload('{"__proto__":3,"__proto__":4}')],
  ['half a character in a text', 2, payload(String.raw`"\ud800"`)],
  ['half a character in a name', 2, payload(String.raw`{"\uDC00":1}`)],
  ['a character in two escapes', 0, payload(String.raw`"\ud83d\ude00"`)],
  ['two halves the wrong way round', 2, payload(String.raw`"\ude00\ud83d"`)],
  ['a number beyond a double', 2, payload('1e999')],
  ['a number beyond a double, below', 2, payload('[{"a":-1e999}]')],
  ['a number that a double rounds', 0, payload('12345678901234567890.123')],
  ['zero with a sign', 0, payload('-0')],
  ['a number beyond a double where an integer belongs', 2, swap('job.json', ':9', ':1e400')],
  ['1000 levels', 0, payload(deep(998))],
  ['1001 levels', 2, payload(deep(999))],
  ['a million levels', 2, payload(deep(1_000_000))],
  ['a million levels that never close', 2, payload('['.repeat(1_000_000))],
  ['brackets without number in a text', 0, payload(`"${'['.repeat(5000)}"`)],
  ['a document of brackets', 2, (files) => new Map(files).set('job.json', deep(5000))],
  ['a BOM before a document', 6, (files) => new Map(files).set('job.json', `\ufeff${files.get('job.json')}`)],
  [
    'a BOM before the lines',
    6,
    (files) => new Map(files).set('events.jsonl', `\ufeff${files.get('events.jsonl')}`),
  ],
  ['a line with a BOM alone', 6, lines('events.jsonl', (texts) => ['\ufeff', ...texts])],
  ['a line with a space of Unicode alone', 6, lines('events.jsonl', (texts) => ['\u00a0', ...texts])],
  ['blank lines', 0, lines('events.jsonl', (texts) => ['', ' \t\r', ...texts, ''])],
  ['blank lines with a tab of another kind', 6, lines('events.jsonl', (texts) => ['\u000b', ...texts])],
  ['lines that end in CR LF', 0, lines('events.jsonl', (texts) => texts.map((text) => `${text}\r`))],
  [
    'a document with spaces',
    0,
    (files) =>
      new Map(files).set('job.json', JSON.stringify(JSON.parse(files.get('job.json') ?? ''), null, 2)),
  ],
  [
    'a line whose names are in another order',
    0,
    lines('events.jsonl', (texts) => [
      JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(texts[0] ?? '')).toReversed())),
      ...texts.slice(1),
    ]),
  ],
  ['numbers in another spelling', 0, swap('job.json', ':9', ':9.0e0')],
  ['a document that is no UTF-8', 6, notText('job.json')],
  ['an event that is no UTF-8', 6, notText('events.jsonl')],
  [
    'an ambiguous line before one that is no UTF-8',
    2,
    (files) => notText('approvals.jsonl')(payload('1,"x":2')(files)),
  ],
  ['two documents in one', 6, (files) => new Map(files).set('job.json', `${files.get('job.json')}{}`)],
  ['a comment', 6, swap('job.json', '{', '{/**/')],
  ['no document', 6, (files) => new Map(files).set('job.json', '')],

  ['letters of a time in lower case', 0, time('2026-01-02t03:04:05z')],
  ['a time of twelve digits', 0, time('2026-01-02T03:04:05.123456789012Z')],
  ['a leap day', 0, time('2024-02-29T00:00:00+23:59')],
  ['30 February', 6, time('2024-02-30T00:00:00Z')],
  ['29 February of no leap year', 6, time('2026-02-29T00:00:00Z')],
  ['month 13', 6, time('2026-13-01T00:00:00Z')],
  ['day 0', 6, time('2026-01-00T00:00:00Z')],
  ['hour 24', 6, time('2026-01-02T24:00:00Z')],
  ['a leap second', 6, time('2016-12-31T23:59:60Z')],
  ['a zone of 24 hours', 6, time('2026-01-02T03:04:05+24:00')],
  ['no zone', 6, time('2026-01-02T03:04:05')],
  ['a comma', 6, time('2026-01-02T03:04:05,5Z')],
  ['a space for the T', 6, time('2026-01-02 03:04:05Z')],
  ['a point without digits', 6, time('2026-01-02T03:04:05.Z')],
  ['a line break behind it', 6, time('2026-01-02T03:04:05Z\n')],
  ['year 0', 0, time('0000-01-01T00:00:00Z')],
  ['before year 0', 6, time('0000-01-01T00:00:00+00:01')],
  ['year 9999', 0, time('9999-12-31T23:59:59.999Z')],
  ['after year 9999', 6, time('9999-12-31T23:59:59-00:01')],
  ['year 10000', 6, time('10000-01-01T00:00:00Z')],
  [
    'a checkpoint a nanosecond later',
    2,
    line('checkpoints.jsonl', 0, (c) => (c.created_at = '2026-01-02T03:04:03.000001001Z')),
  ],
  [
    'a checkpoint less than a nanosecond later',
    0,
    line('checkpoints.jsonl', 0, (c) => (c.created_at = '2026-01-02T03:04:03.0000010009Z')),
  ],
  [
    'a checkpoint of another zone',
    0,
    line('checkpoints.jsonl', 0, (c) => (c.created_at = '2026-01-01T22:04:03.000001-05:00')),
  ],

  ['a payload that says more than a checkpoint', 0, line('events.jsonl', 3, (e) => (e.payload.note = 'x'))],
  ['a payload without what a checkpoint needs', 2, line('events.jsonl', 3, (e) => delete e.payload.status)],
  [
    'an action that is null here and absent there',
    0,
    all(
      line('events.jsonl', 3, (e) => (e.payload.required_action = null)),
      line('checkpoints.jsonl', 0, (c) => delete c.required_action),
    ),
  ],
  [
    'an action that is null in both',
    6,
    all(
      line('events.jsonl', 3, (e) => (e.payload.required_action = null)),
      line('checkpoints.jsonl', 0, (c) => (c.required_action = null)),
    ),
  ],
  ['an approval that says more in its event', 2, line('events.jsonl', 4, (e) => (e.payload.note = 'x'))],
  [
    'an approval of another time in its event',
    2,
    line('events.jsonl', 4, (e) => (e.payload.created_at = '2026-01-02T03:04:04Z')),
  ],
  [
    'an approval before its decision',
    2,
    lines('events.jsonl', (texts) => {
      const renamed = [texts[0], texts[1], texts[2], texts[4], texts[3], texts[5]];
      return renamed.map((text, at) => jcs({ ...JSON.parse(text ?? ''), event_id: `evt_${at + 1}` }));
    }),
  ],
  [
    'a summary of 2000 characters, of two units each',
    0,
    all(
      line('events.jsonl', 3, (e) => (e.payload.summary = '\u{1f600}'.repeat(2000))),
      line('checkpoints.jsonl', 0, (c) => (c.summary = '\u{1f600}'.repeat(2000))),
    ),
  ],
  [
    'a summary of 2001',
    6,
    all(
      line('events.jsonl', 3, (e) => (e.payload.summary = 'x'.repeat(2001))),
      line('checkpoints.jsonl', 0, (c) => (c.summary = 'x'.repeat(2001))),
    ),
  ],
  ['a count below zero', 6, line('checkpoints.jsonl', 0, (c) => (c.budget_state.step_count = -1))],
  ['a count that is not whole', 6, line('checkpoints.jsonl', 0, (c) => (c.budget_state.step_count = 0.5))],
  ['an unknown status in a checkpoint', 6, line('checkpoints.jsonl', 0, (c) => (c.status = 'done'))],
  ['an unknown status in the job', 0, document('job.json', (job) => (job.status = 'done'))],
  ['events as a list', 6, lines('events.jsonl', (texts) => [`[${texts.join(',')}]`])],
  ['a capture of another mode', 6, document('artifacts_manifest.json', (a) => (a.capture_mode = 'all'))],
  [
    'content that is said to be captured',
    2,
    document('artifacts_manifest.json', (a) => (a.capture_mode = 'raw')),
  ],
  [
    'content that is captured',
    0,
    all(
      document('artifacts_manifest.json', (a) => {
        a.capture_mode = 'raw';
        a.artifacts = [{ path: './a//x/../b', sha256: hash('hello'), redacted: true }];
      }),
      (files) => new Map(files).set('artifacts/a/b', 'hello'),
    ),
  ],
  [
    'content of another name',
    2,
    all(
      document('artifacts_manifest.json', (a) => {
        a.capture_mode = 'raw';
        a.artifacts = [{ path: '../b', sha256: hash('hello') }];
      }),
      (files) => new Map(files).set('artifacts/b', 'hello'),
    ),
  ],
  [
    'a hash of content where there is none',
    2,
    document('artifacts_manifest.json', (a) => (a.artifacts[0].sha256 = hash('hello'))),
  ],
  ['an entry that nobody knows', 0, (files) => new Map(files).set('notes/x', 'y')],
  ['approvals that were emptied', 2, (files) => new Map(files).set('approvals.jsonl', '')],

  // Two faults: the first by the order of docs/jobpack.md decides.
  [
    'first a foreign document, last a bad one',
    6,
    all(document('job.json', foreign), line('approvals.jsonl', 0, note)),
  ],
  ['a foreign document that is bad', 6, document('job.json', (job) => (foreign(job), note(job)))],
  ['a bad line before an ambiguous one', 6, all(payload('1,"x":2'), line('events.jsonl', 0, note))],
  ['an ambiguous line before a bad one', 2, all(line('events.jsonl', 3, note), payload('1,"x":2'))],
  ['an ambiguous event, a bad approval', 2, all(line('approvals.jsonl', 0, note), payload('1,"x":2'))],
  [
    'a bad event, an ambiguous checkpoint',
    6,
    all(swap('checkpoints.jsonl', '{', '{"status":"running",'), line('events.jsonl', -1, note)),
  ],
  [
    'an ambiguous approval after a forged checkpoint',
    2,
    all(
      swap('approvals.jsonl', '{', '{"reason":"x",'),
      line('checkpoints.jsonl', 0, (c) => (c.summary = 'x')),
    ),
  ],
  [
    'a forged checkpoint, then a bad one',
    6,
    all(
      line('checkpoints.jsonl', 0, (c) => (c.summary = 'x')),
      lines('checkpoints.jsonl', (texts) => [...texts, '{}']),
    ),
  ],
];

/** Of a pack of ours. */
const CHAINED: readonly Row[] = [
  ['nothing changed, hashed again', 0, rechained((links) => links)],
  [
    'a body with its names in another order',
    2,
    rechained((links) =>
      links.map((l, at) =>
        at === 2 ? { text: JSON.stringify({ seq: l.body.seq, at: l.body.at, event: l.body.event }) } : l,
      ),
    ),
  ],
  [
    'a body with a name twice',
    2,
    rechained((links) =>
      links.map((l, at) => (at === 2 ? { text: jcs(l.body).replace('{', '{"at":1,') } : l)),
    ),
  ],
  [
    'a body with a space',
    2,
    rechained((links) => links.map((l, at) => (at === 2 ? { text: jcs(l.body).replace('{', '{ ') } : l))),
  ],
  [
    'a body with an escape too many',
    2,
    rechained((links) =>
      links.map((l, at) => (at === 2 ? { text: jcs(l.body).replace('"type"', String.raw`"\u0074ype"`) } : l)),
    ),
  ],
  ['a body with one more name', 2, link('phase_changed', (body) => (body.x = 1))],
  ['a body without event', 2, rechained((links) => links.with(3, { body: { at: 1, seq: 4 } }))],
  ['an event without type', 2, link('phase_changed', (body) => delete body.event.type)],
  ['an event with another number', 2, link('phase_changed', (body) => (body.seq = 1))],
  ['a number as a text', 2, link('phase_changed', (body) => (body.seq = String(body.seq)))],
  ['a time that is not whole', 2, link('phase_changed', (body) => (body.at += 0.5))],
  ['a time beyond all years', 2, link('phase_changed', (body) => (body.at = 1e300))],
  ['another time', 2, link('phase_changed', (body) => (body.at += 1))],
  ['another fact where nothing has to be equal', 0, link('phase_changed', (body) => (body.event.by = 'bob'))],
  ['another summary', 2, link('checkpoint_emitted', (body) => (body.event.summary = 'x'))],
  ['other artifacts', 2, link('checkpoint_emitted', (body) => body.event.delta.added.push('x'))],
  [
    'another kind of checkpoint',
    2,
    link('checkpoint_emitted', (body) => (body.event.checkpoint = 'progress')),
  ],
  ['another action', 2, link('checkpoint_emitted', (body) => (body.event.requiredAction = {}))],
  ['another approver', 2, link('approval_recorded', (body) => (body.event.by = 'bob'))],
  [
    'an approved checkpoint as a text',
    2,
    link('approval_recorded', (body) => (body.event.checkpoint = String(body.event.checkpoint))),
  ],
  ['other counters', 2, link('attempt_ended', (body) => (body.event.total.steps += 1))],
  ['no counters', 2, link('attempt_ended', (body) => (body.event.total = null))],
  ['another key', 2, link('key_recorded', (body) => (body.event.key = 'x'))],
  ['an event of another type', 2, link('key_recorded', (body) => (body.event.type = 'constructor'))],
  ['a spill that is none', 2, link('key_recorded', (_, l) => (l.spill = { type: 'key_recorded' }))],
  [
    'a payload moved into a spill',
    0,
    link('key_recorded', (body, l) => {
      l.spill = body.event;
      body.spilled = hash(jcs(body.event));
      body.event = { type: body.event.type };
    }),
  ],
  [
    'a spill that is not what was hashed',
    2,
    link('key_recorded', (body, l) => {
      l.spill = { ...body.event, key: 'x' };
      body.spilled = hash(jcs(body.event));
      body.event = { type: body.event.type };
    }),
  ],
  [
    'a spill of another type',
    2,
    link('key_recorded', (body, l) => {
      l.spill = { ...body.event, type: 'x' };
      body.spilled = hash(jcs(l.spill));
      body.event = { type: body.event.type };
    }),
  ],
  [
    'a spill beside the payload',
    2,
    link('key_recorded', (body, l) => {
      l.spill = { ...body.event };
      body.spilled = hash(jcs(l.spill));
    }),
  ],
  ['a spill that is missing', 2, link('key_recorded', (body) => (body.spilled = hash(jcs(body.event))))],
  [
    'the first event left out in both',
    2,
    all(
      rechained((links) => links.slice(1)),
      lines('events.jsonl', (texts) => texts.slice(1)),
    ),
  ],
  [
    'the last event left out in both',
    2,
    all(
      rechained((links) => links.slice(0, -1)),
      lines('events.jsonl', (texts) => texts.slice(0, -1)),
    ),
  ],
  [
    'an event more in the chain',
    2,
    rechained((links) => [...links, { body: { at: 1, event: { type: 'x' }, seq: links.length + 1 } }]),
  ],
  [
    'an event more in both',
    0,
    (files) => {
      const count = (files.get(CHAIN) ?? '').trimEnd().split('\n').length;
      const at = Date.UTC(2026, 0, 1);
      const added = {
        ...JSON.parse((files.get('events.jsonl') ?? '').split('\n')[0] ?? ''),
        created_at: '2026-01-01T00:00:00Z',
        event_id: `evt_${count + 1}`,
        type: 'reeve.x',
        payload: { y: 1 },
      };
      return all(
        rechained((links) => [...links, { body: { at, event: { type: 'x', y: 1 }, seq: count + 1 } }]),
        lines('events.jsonl', (texts) => [...texts, jcs(added)]),
      )(files);
    },
  ],
  ['a chain that is no UTF-8', 2, notText(CHAIN)],
  ['a run that is no UTF-8', 2, notText(RUN)],
  ['a spec that is no UTF-8', 2, notText('jobspec.json')],
  ['blank lines in the chain', 0, lines(CHAIN, (texts) => ['', ...texts, ' '])],
  ['a space behind a line of the chain', 2, lines(CHAIN, (texts) => texts.map((text) => `${text} `))],
  [
    'a hash in capitals',
    2,
    lines(CHAIN, (texts) =>
      texts.with(
        0,
        (texts[0] ?? '').replace(/"hash":"[^"]+"/, (text) => text.toUpperCase().replace('HASH', 'hash')),
      ),
    ),
  ],
  [
    'a chain from another job',
    2,
    (files) =>
      all(
        rechained((links) => links),
        document(RUN, (run) => (run.job_id = 'other')),
      )(files),
  ],
  ['no chain, but its end', 2, (files) => without(files, CHAIN)],
  ['an empty chain', 2, (files) => new Map(files).set(CHAIN, '')],
  ['nodes that say something else', 0, (files) => new Map(files).set('reeve/nodes.jsonl', 'anything')],
  ['a run that is no JSON', 2, (files) => new Map(files).set(RUN, '{')],
  ['a run that is no object', 2, (files) => new Map(files).set(RUN, '[]')],
  ['a run with a name twice', 2, swap(RUN, '{', '{"format":1,')],
  ['a run of format "1"', 6, document(RUN, (run) => (run.format = '1'))],
  ['a run without format', 6, document(RUN, (run) => delete run.format)],
  [
    'a run of another format and another job',
    6,
    document(RUN, (run) => Object.assign(run, { format: 2, job_id: 'x' })),
  ],
  [
    'a run of another format, and a broken chain',
    6,
    all(
      document(RUN, (run) => (run.format = 2)),
      lines(CHAIN, (texts) => texts.slice(1)),
    ),
  ],
  [
    'a run of another format, and a foreign event',
    2,
    all(
      document(RUN, (run) => (run.format = 2)),
      line('events.jsonl', 2, foreign),
    ),
  ],
  [
    'a run of another format, and a foreign job',
    2,
    all(
      document(RUN, (run) => (run.format = 2)),
      document('job.json', foreign),
    ),
  ],
  [
    'a run of another format, a broken chain and a later gap',
    2,
    all(
      document(RUN, (run) => (run.format = 2)),
      lines(CHAIN, (texts) => texts.slice(1)),
      line('events.jsonl', -1, (e) => (e.event_id = 'evt_9999')),
    ),
  ],
  [
    'a run of another format without chain',
    2,
    all(
      document(RUN, (run) => (run.format = 2)),
      (files) => without(files, CHAIN),
    ),
  ],
  [
    'a broken chain and a bad approval',
    6,
    all(
      lines(CHAIN, (texts) => texts.slice(1)),
      line('approvals.jsonl', 0, note),
    ),
  ],
  ['a chain whose end is null', 2, document(RUN, (run) => (run.chain = null))],
  ['a spec that is no JSON', 2, (files) => new Map(files).set('jobspec.json', '{')],
  ['a spec with a name twice', 2, swap('jobspec.json', '{', '{"name":"notes_job",')],
  [
    'a spec in another spelling',
    0,
    (files) =>
      new Map(files).set(
        'jobspec.json',
        JSON.stringify(JSON.parse(files.get('jobspec.json') ?? ''), null, 1),
      ),
  ],
  ['no spec', 0, (files) => without(files, 'jobspec.json')],
  ['counters that say more', 2, document('job.json', (job) => (job.budgets.x = 1))],
  ['counters with a sign', 0, swap('job.json', '"retry_count":0', '"retry_count":-0')],
  [
    'artifacts twice instead of another',
    2,
    document('artifacts_manifest.json', (a) => (a.artifacts[1] = a.artifacts[0])),
  ],
  [
    'artifacts in another order',
    0,
    document('artifacts_manifest.json', (a) => (a.artifacts = a.artifacts.toReversed())),
  ],
  [
    'one artifact more',
    2,
    document('artifacts_manifest.json', (a) => a.artifacts.push({ path: 'x', sha256: hash('reference:x') })),
  ],
];

const zips = (): readonly TamperCase[] => {
  const files = filesIn(referencePack());
  const entries = [...files].map(([name, data]): RawEntry => ({ name, data }));
  const changed = (change: Partial<RawEntry>): (() => Buffer) => {
    return () =>
      rawZip(entries.map((entry) => (entry.name === 'job.json' ? { ...entry, ...change } : entry)));
  };
  const archive = (name: string, says: 0 | 2, bytes: () => Buffer): TamperCase => ({ name, says, bytes });
  return [
    archive('sizes before the content, no descriptor', 0, changed({ descriptor: 'none', flags: 0 })),
    archive('sizes before the content and behind it', 0, changed({ descriptor: 'also' })),
    archive('a descriptor that is announced and missing', 2, changed({ descriptor: 'none' })),
    archive('a descriptor that is not announced', 2, changed({ flags: 0 })),
    archive('made for version 1.0', 0, changed({ needed: 10 })),
    archive('made for ZIP64', 2, changed({ needed: 45 })),
    archive('a compressor that tried hard', 0, changed({ method: 'deflated', flags: 0x0e })),
    archive('a name that says it is UTF-8', 0, changed({ flags: 0x0808 })),
    archive('a flag that only the local header has', 2, changed({ local: { flags: 0x0808 } })),
    archive(
      'a field that only the local header has',
      2,
      changed({ local: { extra: Buffer.from('555405000100a6ce13', 'hex') } }),
    ),
    archive('no field at all', 0, changed({ extra: Buffer.alloc(0) })),
    archive('a text, as Info-ZIP says', 2, changed({ internal: 1 })),
    archive('a mode that Python writes', 0, changed({ madeBy: 0x0314, attributes: 0o600 * 65536 })),
    archive('a file that may be run', 2, changed({ madeBy: 0x0314, attributes: 0o100755 * 65536 })),
    archive('a read-only file of DOS', 2, changed({ attributes: 1 })),
    archive('a directory in another order than the entries', 0, () =>
      rawZip(entries, { directory: 'reversed' }),
    ),
    archive('a directory that lists an entry twice', 2, () => rawZip(entries, { directory: 'doubled' })),
    archive(
      'a length that is one too small',
      2,
      changed({
        claims: {
          packedBytes: (files.get('job.json') ?? '').length - 1,
          bytes: (files.get('job.json') ?? '').length - 1,
        },
      }),
    ),
    archive('deflated twice over', 2, changed({ method: 'deflated', claims: { bytes: 1 } })),
    archive('an entry without content', 2, changed({ data: '' })),
  ];
};

/** @param ours a finished pack of ours. */
export function tamperCases(ours: Buffer): readonly TamperCase[] {
  const rows = (files: Files, table: readonly Row[]): TamperCase[] =>
    table.map(([name, says, edit]) => ({ name, says, bytes: () => rehashed(edit(files)) }));
  const files = filesIn(ours);
  return [...rows(filesIn(referencePack()), PLAIN), ...rows(files, CHAINED), ...zips()];
}
