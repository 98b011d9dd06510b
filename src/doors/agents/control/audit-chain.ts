/** The audit chain as data (contract agents §8): how a line is hashed, and whether lines are a chain. Pure. */
import { canonicalJson, type Sha256 } from '../../../model/canonical.ts';
import type { AuditEntry } from '../wire/audit.ts';

/** `prev_hash` of the first line. */
export const CHAIN_START = '0'.repeat(64);

export interface ChainHead {
  /** 0: nothing is chained yet. */
  readonly seq: number;
  readonly hash: string;
}

export function chained(entry: Omit<AuditEntry, 'hash'>, sha256: Sha256): AuditEntry {
  return { ...entry, hash: sha256(canonicalJson(entry)) };
}

export interface ChainReport {
  readonly ok: boolean;
  readonly entries: number;
  /** Of the last good line. */
  readonly head: ChainHead;
  /** The first line that does not fit, from 1. */
  readonly line?: number;
  readonly problem?: string;
}

export interface ChainExpectations {
  /** The lines follow this one; default: they begin with the first of all. */
  readonly after?: ChainHead;
  /** They end with this hash: without it nobody can tell whether the last lines were cut off. */
  readonly headHash?: string;
}

/** Whether lines of JSON are one chain, whole and in order. Blank lines at the end do not count. */
export function verifyChain(text: string, sha256: Sha256, expected: ChainExpectations = {}): ChainReport {
  const lines = text.replace(/(\r?\n)+$/, '').split(/\r?\n/);
  let head: ChainHead = expected.after ?? { seq: 0, hash: CHAIN_START };
  let tenant: unknown;
  const failed = (line: number, problem: string): ChainReport => ({
    ok: false,
    entries: line - 1,
    head,
    line,
    problem,
  });
  if (lines.length === 1 && lines[0] === '') lines.length = 0;
  for (const [index, line] of lines.entries()) {
    const at = index + 1;
    const entry = entryIn(line);
    if (entry === undefined) return failed(at, 'is no entry of an audit chain');
    const { hash, ...rest } = entry;
    if (rest.seq !== head.seq + 1) return failed(at, `has seq ${String(rest.seq)}, not ${head.seq + 1}`);
    if (rest.prev_hash !== head.hash) return failed(at, 'does not follow the line before it');
    tenant ??= rest.tenant;
    if (rest.tenant !== tenant) return failed(at, 'is of another tenant');
    if (hashOf(rest, sha256) !== hash) return failed(at, 'was changed: its hash is another one');
    head = { seq: rest.seq, hash };
  }
  if (expected.headHash !== undefined && expected.headHash !== head.hash)
    return failed(lines.length + 1, 'is missing: the chain ended with another hash');
  return { ok: true, entries: lines.length, head };
}

function entryIn(line: string): AuditEntry | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const { seq, hash, prev_hash: previous } = value as Partial<AuditEntry>;
    if (!Number.isSafeInteger(seq) || typeof hash !== 'string' || typeof previous !== 'string')
      return undefined;
    return value as AuditEntry;
  } catch {
    return undefined;
  }
}

function hashOf(entry: Omit<AuditEntry, 'hash'>, sha256: Sha256): string | undefined {
  try {
    return sha256(canonicalJson(entry));
  } catch {
    return undefined;
  }
}
