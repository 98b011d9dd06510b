/** The environment a job was started in, compared on resume (contract wrkr §c, "Environment fingerprint"). */
import { createHash } from 'node:crypto';
import { endianness, hostname } from 'node:os';
import { canonicalJson } from '../../model/canonical.ts';
import { ReeveError } from '../../model/errors.ts';
import type { Fingerprint } from '../../model/run-spec.ts';

const DEFAULT_RULES = ['arch', 'go_version', 'os'] as const;
const NAMED_RULES: ReadonlySet<string> = new Set(['os', 'arch', 'go_version', 'cwd', 'hostname']);
const ENV_RULE = /^(env|env_sha256):(.+)$/s;

/** Where the values come from; all of them given, so that a capture can be repeated. */
export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
  /** As Node names them. */
  readonly platform: string;
  readonly arch: string;
  readonly littleEndian: boolean;
  readonly nodeVersion: string;
}

export function thisProcess(): Surroundings {
  return {
    cwd: process.cwd(),
    env: process.env,
    hostname: hostname(),
    platform: process.platform,
    arch: process.arch,
    littleEndian: endianness() === 'LE',
    nodeVersion: process.versions.node,
  };
}

/**
 * Trimmed, without blanks and duplicates, in byte order; the default rules when none is left.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA for an unknown rule (W35).
 */
export function normaliseRules(rules: readonly string[] = []): readonly string[] {
  const known = [...new Set(rules.map((rule) => rule.trim()).filter((rule) => rule !== ''))];
  const index = known.findIndex((rule) => !NAMED_RULES.has(rule) && !ENV_RULE.test(rule));
  const unknown = known[index];
  if (unknown !== undefined) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `unknown environment rule ${JSON.stringify(unknown)}; known are ${[...NAMED_RULES].join(', ')}, env:NAME, env_sha256:NAME`,
      { field: '/environment_fingerprint/rules', problem: 'unknown rule', value: unknown },
    );
  }
  return known.length === 0
    ? DEFAULT_RULES
    : known.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export function captureFingerprint(rules: readonly string[] | undefined, from: Surroundings): Fingerprint {
  const normalised = normaliseRules(rules);
  return fingerprintOf(normalised, Object.fromEntries(normalised.map((rule) => [rule, valueOf(rule, from)])));
}

/** Rules and values with their hash: SHA-256 of the JCS form of both. */
export function fingerprintOf(
  rules: readonly string[],
  values: Readonly<Record<string, string>>,
): Fingerprint {
  return { rules, values, hash: sha256(canonicalJson({ rules, values })) };
}

function valueOf(rule: string, from: Surroundings): string {
  switch (rule) {
    case 'os':
      return from.platform === 'win32' ? 'windows' : from.platform;
    case 'arch':
      return goArch(from.arch, from.littleEndian);
    case 'go_version':
      return `node${from.nodeVersion}`;
    case 'cwd':
      return from.cwd;
    case 'hostname':
      return from.hostname;
    default: {
      const [, kind, name = ''] = ENV_RULE.exec(rule) ?? [];
      const value = (Object.hasOwn(from.env, name) ? from.env[name] : undefined) ?? '';
      return kind === 'env_sha256' ? sha256(value) : value;
    }
  }
}

/** Go's name of a processor that Node names otherwise. */
function goArch(arch: string, littleEndian: boolean): string {
  if (arch === 'x64') return 'amd64';
  if (arch === 'ia32') return '386';
  if (arch === 'ppc64' && littleEndian) return 'ppc64le';
  return arch;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
