/** `wrkr.github_summary` (contract wrkr §h): made from one pack alone, so that the same pack always gives the same bytes. */
import type { JsonObject } from '../../model/json.ts';
import { Claims, sorted } from '../claims.ts';
import { LineCursor, readDocument, readManifest } from '../pack-reader.ts';
import { compareTimes, trimmedTime } from '../time.ts';
import { verifyJobpack } from '../verify.ts';
import { ZipReader } from '../zip-reader.ts';
import { code, paragraph, words } from './markdown.ts';

/** Failures and artifacts that are shown. */
const SHOWN_MAX = 5;

export interface GithubSummary {
  readonly schema_id: 'wrkr.github_summary';
  readonly schema_version: 'v1';
  readonly created_at: string;
  readonly producer_version: string;
  readonly job_id: string;
  readonly status: string;
  readonly acceptance: {
    readonly checks_run: number;
    readonly checks_passed: number;
    readonly failed: boolean;
  };
  /** Numbers of distinct paths. */
  readonly artifact_delta: { readonly added: number; readonly changed: number; readonly removed: number };
  readonly markdown: string;
}

/** What a summary is made of. */
export interface SummaryFacts {
  readonly jobId: string;
  readonly status: string;
  /** Of the manifest: neither the clock nor the program of today. */
  readonly createdAt: string;
  readonly producerVersion: string;
  readonly acceptance?: {
    readonly checks_run: number;
    readonly checks_passed: number;
    readonly failures: readonly {
      readonly check: string;
      readonly message: string;
      readonly artifact?: string;
    }[];
  };
  readonly finalSummary?: string;
  readonly delta: GithubSummary['artifact_delta'];
  /** Added and changed paths. */
  readonly artifacts: readonly string[];
}

/** Verifies a pack and summarises it. @throws ReeveError as `verifyJobpack` does. */
export async function summariseJobpack(path: string): Promise<GithubSummary> {
  await verifyJobpack(path);
  const reader = await ZipReader.open(path);
  try {
    return githubSummary(await factsOf(reader));
  } finally {
    await reader.close();
  }
}

async function factsOf(reader: ZipReader): Promise<SummaryFacts> {
  const manifest = await readManifest(reader);
  const { status } = await readDocument(reader, 'job.json');
  const { artifacts } = await readDocument(reader, 'artifacts_manifest.json');
  const accepted = reader.entries.has('accept/accept_result.json')
    ? await readDocument(reader, 'accept/accept_result.json')
    : undefined;
  const claims = new Claims();
  let final: JsonObject | undefined;
  const cursor = new LineCursor(reader, 'checkpoints.jsonl', 'checkpoints.jsonl');
  try {
    for (let record = await cursor.next(); record !== undefined; record = await cursor.next()) {
      claims.add(record);
      if (final === undefined || isLater(record, final)) final = record;
    }
  } finally {
    await cursor.close();
  }
  return {
    jobId: manifest.job_id,
    status: status as string,
    createdAt: manifest.created_at,
    producerVersion: manifest.producer_version,
    ...(accepted === undefined
      ? {}
      : { acceptance: accepted as unknown as NonNullable<SummaryFacts['acceptance']> }),
    ...(final === undefined ? {} : { finalSummary: final['summary'] as string }),
    delta: { added: claims.added.size, changed: claims.changed.size, removed: claims.removed.size },
    artifacts: (artifacts as readonly { readonly path: string }[]).map((artifact) => artifact.path),
  };
}

/** By time, then by the number in `cp_<n>`. */
function isLater(a: JsonObject, b: JsonObject): boolean {
  const order = compareTimes(timeOf(a), timeOf(b));
  return order > 0 || (order === 0 && numberOf(a) > numberOf(b));
}

function timeOf({ created_at: time }: JsonObject): string {
  return trimmedTime(time as string) ?? '';
}

function numberOf({ checkpoint_id: id }: JsonObject): number {
  return Number((id as string).slice('cp_'.length));
}

export function githubSummary(facts: SummaryFacts): GithubSummary {
  const { checks_run = 0, checks_passed = 0, failures = [] } = facts.acceptance ?? {};
  const summary = {
    schema_id: 'wrkr.github_summary',
    schema_version: 'v1',
    created_at: facts.createdAt,
    producer_version: facts.producerVersion.toWellFormed(),
    job_id: facts.jobId,
    status: facts.status.toWellFormed(),
    acceptance: { checks_run, checks_passed, failed: failures.length > 0 || checks_passed < checks_run },
    artifact_delta: facts.delta,
  } as const;
  return { ...summary, markdown: markdownOf(summary, facts) };
}

function markdownOf(summary: Omit<GithubSummary, 'markdown'>, facts: SummaryFacts): string {
  const { acceptance, artifact_delta: delta } = summary;
  const { finalSummary = '', acceptance: { failures = [] } = {} } = facts;
  const lines = [
    '# Wrkr GitHub Summary',
    '',
    `- Job: ${code(summary.job_id)}`,
    `- Status: ${code(summary.status)}`,
    `- Acceptance: ${code(acceptance.failed ? 'failed' : 'passed')} (${acceptance.checks_passed}/${acceptance.checks_run} checks)`,
    `- Artifact Delta: added=${delta.added} changed=${delta.changed} removed=${delta.removed}`,
    '',
    '## Final Checkpoint',
    '',
    paragraph(finalSummary) || '(none)',
    '',
    '## Top Failures',
    '',
    ...list(
      failures.map(({ check, message, artifact = '' }) => {
        const pointer = artifact === '' ? '' : ` (${code(artifact)})`;
        return `${code(check)}: ${words(message)}${pointer}`;
      }),
    ),
    '',
    '## Artifact Pointers',
    '',
    ...list(sorted(facts.artifacts).map(code)),
  ];
  return lines.join('\n').trimEnd();
}

function list(items: readonly string[]): string[] {
  return items.length === 0 ? ['- None'] : items.slice(0, SHOWN_MAX).map((item) => `- ${item}`);
}
