/**
 * Writes a jobpack (contract wrkr §f). What goes in comes from the run's events alone, and every time in it is one of
 * theirs: the same events give the same bytes, anywhere, any day (I10, W47). Memory does not grow with their number:
 * they are read once, and lines that have to wait for the manifest wait in spools.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../model/canonical.ts';
import { chainHash, genesisHash } from '../model/chain.ts';
import { ReeveError } from '../model/errors.ts';
import type { RecordedEvent } from '../model/events.ts';
import type { Json, JsonObject } from '../model/json.ts';
import { DEPTH_MAX, isTooDeep } from '../model/strict-json.ts';
import { Redactor } from '../policy/redaction/redactor.ts';
import { artifactEntry, fileChunks, openArtifact, referenceHash, requireArtifactPath } from './artifacts.ts';
import { CHAIN_EVENTS, CHAIN_NODES, CHAIN_RUN, chainLine, isObject } from './chain-entry.ts';
import { compareBytes } from './entry-names.ts';
import { sha256 } from './hash.ts';
import { TEXT_BYTES_MAX } from './limits.ts';
import { envelopeOf, MANIFEST, manifestOf, type Manifest } from './manifest.ts';
import { writeFileAtomically } from './output-file.ts';
import {
  approvalOf,
  artifactPaths,
  checkpointOf,
  eventRecord,
  JobFold,
  withTrimmedTime,
  type EventRecord,
  type PackLine,
} from './records.ts';
import { RunFold } from './run-fold.ts';
import { Spool } from './spool.ts';
import { compareTimes } from './time.ts';
import { ZipWriter, type Chunks } from './zip-writer.ts';

/** One event of the run: in wrkr's words, and as it is in the store. */
export interface PackRecord {
  readonly line: PackLine;
  readonly recorded: RecordedEvent;
  /** The text that was hashed, and its place in the chain. */
  readonly body: string;
  readonly hash: string;
}

export interface PackSource {
  readonly jobId: string;
  /** Version of the program that made the run, so that an upgrade changes no pack (I10). */
  readonly producerVersion: string;
  /** All events of the run, in order. */
  readonly records: AsyncIterable<PackRecord>;
  /** The last `wrkr.accept_result`, where acceptance ran. */
  readonly acceptance?: JsonObject;
  /** `raw` takes the claimed files of this directory into the pack; otherwise only their names are hashed. */
  readonly raw?: RawCapture;
}

export interface RawCapture {
  readonly workspace: string;
  /** With the `g` flag; replaced in the captured bytes, beside the secrets that are known anyway (I9). */
  readonly redact?: readonly RegExp[];
}

export interface WrittenPack {
  readonly jobId: string;
  readonly path: string;
  readonly manifestSha256: string;
}

/**
 * Writes the pack to `path`: whole, or not at all.
 * @throws ReeveError E_STORE_CORRUPT when the events are not what was hashed; E_INVALID_INPUT_SCHEMA for a run without
 * events or too big for a pack; E_ACCEPT_MISSING_ARTIFACT, E_UNSAFE_OPERATION for raw capture; E_STORE_FULL,
 * E_STORE_UNAVAILABLE for the place.
 */
export async function writeJobpack(source: PackSource, path: string): Promise<WrittenPack> {
  const spools = new PackSpools();
  try {
    const { entries, manifest } = await gather(source, spools);
    const manifestSha256 = await writeFileAtomically(path, async (sink) => {
      const writer = new ZipWriter(sink);
      for (const entry of entries.toSorted((a, b) => compareBytes(a.name, b.name))) {
        await writer.add(entry.name, entry.chunks());
      }
      await writer.end();
      return manifest().manifest_sha256;
    });
    return { jobId: source.jobId, path, manifestSha256 };
  } finally {
    await spools.close();
  }
}

class PackSpools {
  readonly events = new Spool();
  readonly checkpoints = new Spool();
  readonly approvals = new Spool();
  readonly chain = new Spool();
  readonly nodes = new Spool();

  async close(): Promise<void> {
    await Promise.all(
      [this.events, this.checkpoints, this.approvals, this.chain, this.nodes].map((spool) => spool.close()),
    );
  }
}

/** Something to write. Entries are written in the order of their names. */
interface Entry {
  readonly name: string;
  /** Known at the latest when the entry has been written. */
  hash(): string;
  chunks(): Chunks;
}

interface Gathered {
  readonly entries: readonly Entry[];
  /** To be asked for once the artifacts have been written. */
  manifest(): Manifest;
}

async function gather(source: PackSource, spools: PackSpools): Promise<Gathered> {
  const { jobId, producerVersion, acceptance, raw } = source;
  const { job, run, paths, last } = await spoolLines(source, spools);
  const result = acceptance === undefined ? undefined : withTrimmedTime(acceptance);
  const common = {
    created_at: latest(last.created_at, result?.['created_at']),
    job_id: jobId,
    producer_version: producerVersion,
  };
  const { status, budgets } = job;
  const entries: Entry[] = [
    document('job.json', () => ({ ...envelopeOf('wrkr.job', common), name: jobId, status, budgets })),
    await spooled('events.jsonl', spools.events),
    await spooled('checkpoints.jsonl', spools.checkpoints),
    await spooled(CHAIN_EVENTS, spools.chain),
    await spooled(CHAIN_NODES, spools.nodes),
    document(CHAIN_RUN, () => ({ ...envelopeOf('reeve.run', common), ...run.summary() })),
  ];
  if (!spools.approvals.isEmpty) entries.push(await spooled('approvals.jsonl', spools.approvals));
  if (result !== undefined) entries.push(document('accept/accept_result.json', () => result));
  const spec = run.document;
  if (isObject(spec) && spec['schema_id'] === 'wrkr.jobspec')
    entries.push(document('jobspec.json', () => spec));

  const files = new Map<string, FileEntry>();
  if (raw !== undefined) {
    for (const path of paths) {
      requireArtifactPath(path);
      const name = artifactEntry(path);
      if (!files.has(name)) files.set(name, file(name, raw, path));
    }
    entries.push(...files.values());
  }
  const artifactOf = (path: string): JsonObject => {
    const captured = files.get(artifactEntry(path));
    if (captured === undefined) return { path, sha256: referenceHash(path) };
    return { path, sha256: captured.hash(), ...(captured.isRedacted() ? { redacted: true } : {}) };
  };
  entries.push(
    document('artifacts_manifest.json', () => ({
      ...envelopeOf('wrkr.artifacts_manifest', common),
      capture_mode: raw === undefined ? 'reference-only' : 'raw',
      artifacts: paths.map(artifactOf),
    })),
  );
  const listed = [...entries];
  const manifest = once(() => manifestOf(common, new Map(listed.map((entry) => [entry.name, entry.hash()]))));
  return { entries: [...entries, document(MANIFEST, manifest)], manifest };
}

interface Spooled {
  readonly job: JobFold;
  readonly run: RunFold;
  /** Of all artifacts that were added or changed, in the order of their bytes. */
  readonly paths: readonly string[];
  readonly last: EventRecord;
}

/** Reads the run once, checking its chain (I2). */
async function spoolLines(source: PackSource, spools: PackSpools): Promise<Spooled> {
  const { jobId, producerVersion } = source;
  const job = new JobFold();
  const run = new RunFold(jobId);
  const paths = new Set<string>();
  let previous = genesisHash(jobId, sha256);
  let last: EventRecord | undefined;
  for await (const { line, recorded, body, hash } of source.records) {
    if (chainHash(previous, body, sha256) !== hash || recorded.seq !== line.seq) {
      throw new ReeveError('E_STORE_CORRUPT', `event ${recorded.seq} of ${jobId} is not what was hashed`, {
        job_id: jobId,
        seq: recorded.seq,
      });
    }
    previous = hash;
    last = eventRecord(line, jobId, producerVersion);
    job.add(last);
    run.add(recorded, hash);
    await spoolLine(spools.events, 'events.jsonl', `${canonicalJson(last)}\n`);
    await spoolLine(
      spools.chain,
      CHAIN_EVENTS,
      chainLine(body, hash, isSpilled(body) ? recorded.event : undefined),
    );
    const checkpoint = checkpointOf(last);
    if (checkpoint !== undefined) {
      for (const artifact of artifactPaths(checkpoint)) paths.add(artifact);
      await spoolLine(spools.checkpoints, 'checkpoints.jsonl', `${canonicalJson(checkpoint)}\n`);
    }
    const approval = approvalOf(last);
    if (approval !== undefined)
      await spoolLine(spools.approvals, 'approvals.jsonl', `${canonicalJson(approval)}\n`);
  }
  if (last === undefined) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `job ${jobId} has no events`, { job_id: jobId });
  }
  for (const line of run.nodeLines()) await spoolLine(spools.nodes, CHAIN_NODES, line);
  return { job, run, paths: [...paths].toSorted(compareBytes), last };
}

/** What a body ends with whose payload was too big for the store's row; others end with their `seq`. */
function isSpilled(body: string): boolean {
  return /,"spilled":"[0-9a-f]{64}"\}$/.test(body.slice(-100));
}

async function spoolLine(spool: Spool, name: string, line: string): Promise<void> {
  // A character is at most three bytes.
  if (line.length * 3 > TEXT_BYTES_MAX && Buffer.byteLength(line) > TEXT_BYTES_MAX) throw tooBig(name);
  requireShallow(name, line);
  await spool.add(line);
}

/** What no verifier would read is not written. */
function requireShallow(path: string, text: string): void {
  if (!isTooDeep(text)) return;
  const message = `${path} would hold JSON of more than ${DEPTH_MAX} levels`;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', message, { path, depth_max: DEPTH_MAX });
}

function tooBig(path: string): ReeveError {
  return new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${path} would hold more than ${TEXT_BYTES_MAX} bytes in one piece`,
    {
      path,
      bytes_max: TEXT_BYTES_MAX,
    },
  );
}

async function spooled(name: string, spool: Spool): Promise<Entry> {
  const hash = await spool.end();
  return { name, hash: () => hash, chunks: () => spool.chunks() };
}

/** A JSON document, made when it is first asked for. */
function document(name: string, make: () => object): Entry {
  const bytes = once(() => {
    const text = canonicalJson(make());
    requireShallow(name, text);
    const made = Buffer.from(text);
    if (made.length > TEXT_BYTES_MAX) throw tooBig(name);
    return made;
  });
  return { name, hash: once(() => sha256(bytes())), chunks: () => [bytes()] };
}

interface FileEntry extends Entry {
  /** Known when the entry has been written. */
  isRedacted(): boolean;
}

/** A claimed file, redacted and hashed while it is written. */
function file(name: string, { workspace, redact }: RawCapture, path: string): FileEntry {
  let known: string | undefined;
  const redactor = new Redactor(redact);
  return {
    name,
    hash() {
      if (known === undefined) throw new TypeError(`${name} has not been written`);
      return known;
    },
    isRedacted: () => redactor.hasRedacted,
    async *chunks() {
      const opened = await openArtifact(workspace, path);
      try {
        const hash = createHash('sha256');
        for await (const chunk of fileChunks(opened)) {
          const kept = redactor.push(chunk);
          hash.update(kept);
          yield kept;
        }
        const rest = redactor.end();
        hash.update(rest);
        yield rest;
        known = hash.digest('hex');
      } finally {
        await opened.close();
      }
    },
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function latest(time: string, other: Json | undefined): string {
  return typeof other === 'string' && compareTimes(other, time) > 0 ? other : time;
}
