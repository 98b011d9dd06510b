/** Paths of files of a run: what may be named, and what a name means (contract agents §2.2, §3.1). */
import { redactSecrets } from '../../../../policy/redaction/secret-redactor.ts';
import { invalidField } from '../../wire/errors.ts';
import type { FileKind } from '../ports.ts';

const PATH_BYTES_MAX = 1024;
const SEGMENT_BYTES_MAX = 255;
const SEGMENTS_MAX = 32;
/** Control and formatting characters, separators of lines: they would forge what a person sees. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/**
 * A relative path with forward slashes, in one spelling only, which means the same wherever it is unpacked: no `.` or
 * `..`, no backslash, no drive, nothing hidden (names of files that are being written begin with a dot).
 * @throws AgentsFailure 422; its message never holds the path, which may be a secret or forge a line
 */
export function requirePath(path: string): string {
  const problem = problemOf(path);
  if (problem !== undefined) throw invalidField('path', problem);
  return path;
}

function problemOf(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) return `has more than ${PATH_BYTES_MAX} bytes`;
  if (!path.isWellFormed() || path.includes('\uFFFD')) return 'is not well-formed Unicode';
  if (path !== path.normalize('NFC')) return 'is not in Unicode normalisation form C';
  if (INVISIBLE.test(path)) return 'holds a control or invisible character';
  if (/[\\:]/.test(path)) return 'holds a backslash or a colon';
  if (path.startsWith('/')) return 'is absolute';
  const segments = path.split('/');
  if (segments.length > SEGMENTS_MAX) return `has more than ${SEGMENTS_MAX} parts`;
  for (const segment of segments) {
    if (segment === '') return 'has an empty part';
    if (segment.startsWith('.')) return 'has a part that begins with a dot';
    if (/[. ]$/.test(segment) || segment.startsWith(' '))
      return 'has a part that ends with a dot, or begins or ends with a space';
    if (Buffer.byteLength(segment) > SEGMENT_BYTES_MAX)
      return `has a part of more than ${SEGMENT_BYTES_MAX} bytes`;
  }
  if (redactSecrets(path) !== path) return 'holds what looks like a secret';
  return undefined;
}

/** Which attempt's leftovers a path is among: `attempts/<n>/…`; undefined for files of the run itself. @throws AgentsFailure 422 */
export function attemptIn(path: string): number | undefined {
  if (path !== 'attempts' && !path.startsWith('attempts/')) return undefined;
  const [, digits] = /^attempts\/([1-9]\d{0,8})\/./.exec(path) ?? [];
  if (digits === undefined)
    throw invalidField('path', 'is below attempts/, and not below attempts/<number>/');
  return Number(digits);
}

const KINDS: Readonly<Record<string, FileKind>> = {
  'artifacts/output.raw': 'raw',
  'artifacts/summary.json': 'summary',
  'artifacts/meta.json': 'meta',
  'artifacts/report.json': 'report',
};

export function kindOf(path: string): FileKind {
  const name = path.replace(/^attempts\/\d+\//, '');
  return KINDS[name] ?? (name.startsWith('logs/') ? 'log' : 'other');
}
