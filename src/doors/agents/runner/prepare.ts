/**
 * From what is asked for to what may be executed (contract agents §5). The one who runs it decides, by its own allow-list;
 * without one everything runs, as in the original.
 */
import type { AllowList } from '../../../policy/allow-list/allow-list.ts';
import { requireWithin } from '../../../policy/allow-list/allow-list.ts';
import { approveDestructive } from '../../../policy/allow-list/open.ts';
import { Refusal } from '../../../policy/allow-list/refusal.ts';
import { digestOfBytes } from '../../../policy/allow-list/sign.ts';
import type { TrustedKey } from '../../../policy/trust.ts';
import type { SandboxWish } from './sandbox.ts';
import { type OpenedSkill, openSkill, type SkillRun, skillRun } from './skill.ts';

export interface Judgement {
  /** Undefined: nothing is verified. */
  readonly list: AllowList | undefined;
  /** Whether commands may run that are no skills. */
  readonly allowRaw: boolean;
  /** Values of secrets by name. */
  readonly envRefs: Readonly<Record<string, string>>;
  readonly nowMs: number;
}

export interface SkillRequest {
  readonly name: string;
  readonly version: string;
  /** By name; of a secret one the name of the environment reference that holds it. */
  readonly args: Readonly<Record<string, unknown>>;
  /** For a destructive skill that is to act. */
  readonly approval?: {
    readonly taskId: string;
    readonly bytes: Uint8Array | undefined;
    readonly keys: readonly TrustedKey[];
  };
}

export interface PreparedSkill extends SkillRun {
  /** Milliseconds, of its manifest. */
  readonly timeoutMs: number;
  readonly sandbox: SandboxWish;
}

/**
 * @param bytes of the package; what is executed comes from them and from nowhere else.
 * @throws Refusal: it is not run. ReeveError E_INVALID_INPUT_SCHEMA, E_UNSAFE_OPERATION: it is no package.
 */
export function prepareSkill(bytes: Uint8Array, request: SkillRequest, judgement: Judgement): PreparedSkill {
  const { name, version } = request;
  const { list, envRefs, nowMs } = judgement;
  let opened: OpenedSkill;
  try {
    opened = openSkill(bytes, name, version);
  } catch (error) {
    // An altered package is refused for being altered, and not for what came of it.
    list?.skill({ name, version, digest: digestOfBytes(bytes) }, {}, nowMs);
    throw error;
  }
  const { manifest, skill } = opened;
  const args = withSecrets(opened, request.args, envRefs);
  if (list !== undefined) {
    const entry = list.skill(skill, args, nowMs);
    requireWithin(entry, { envRefs: Object.keys(envRefs) });
    if (manifest.destructive && String(args['apply']) === 'true') approve(request, skill.digest, nowMs);
  }
  return {
    ...skillRun(opened, args),
    timeoutMs: manifest.timeoutS * 1_000,
    sandbox: { network: manifest.network },
  };
}

/** @throws Refusal: it is not run. */
export function verifyCommand(command: string | readonly string[], judgement: Judgement): void {
  const { list, allowRaw, envRefs, nowMs } = judgement;
  if (list === undefined) return;
  requireWithin(list.command(command, { allowRaw }, nowMs), { envRefs: Object.keys(envRefs) });
}

function withSecrets(
  { manifest }: OpenedSkill,
  args: Readonly<Record<string, unknown>>,
  envRefs: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const resolved: Record<string, unknown> = { ...args };
  for (const { name, secret } of manifest.args) {
    if (secret !== true || !Object.hasOwn(args, name)) continue;
    const reference = args[name];
    const value =
      typeof reference === 'string' && Object.hasOwn(envRefs, reference) ? envRefs[reference] : undefined;
    if (value === undefined)
      throw new Refusal(
        'args_invalid',
        `the argument "${name}" is secret: give the name of an environment reference`,
        {
          argument: name,
        },
      );
    resolved[name] = value;
  }
  return resolved;
}

function approve({ approval }: SkillRequest, digest: string, nowMs: number): void {
  if (approval === undefined)
    throw new Refusal('needs_approval', 'nobody has approved what this skill destroys');
  const { taskId, bytes, keys } = approval;
  approveDestructive(bytes, { taskId, digest, keys, nowMs });
}
