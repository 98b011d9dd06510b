import { ReeveError } from '../../model/errors.ts';
import { compileArguments, type Arguments, type CheckArguments } from './arguments.ts';
import { timeMs } from './document.ts';
import { Refusal } from './refusal.ts';
import type { AllowListDocument, AllowListEntry } from './schema.ts';
import { digestOfCommand } from './sign.ts';

export interface SkillReference {
  readonly name: string;
  readonly version: string;
  /** Of the package file as it is here. */
  readonly digest: string;
}

/** What an accepted list allows. Looked up before each run; time goes on meanwhile, so each lookup is given it. */
export class AllowList {
  readonly document: AllowListDocument;
  readonly #skills = new Map<string, AllowListEntry>();
  readonly #commands = new Map<string, AllowListEntry>();
  readonly #checks = new WeakMap<AllowListEntry, CheckArguments>();

  /** @param document that was verified: see open.ts. */
  constructor(document: AllowListDocument) {
    this.document = document;
    for (const entry of document.entries) {
      if (entry.kind === 'command') this.#commands.set(entry.digest, entry);
      else this.#skills.set(`${entry.name}@${entry.version}`, entry);
    }
  }

  get serial(): number {
    return this.document.serial;
  }

  /** @throws Refusal expired */
  requireCurrent(nowMs: number): void {
    requireUnexpired('the allow-list', this.document.expires_at, nowMs);
  }

  /** @throws Refusal expired, not_listed, digest_mismatch, args_invalid */
  skill({ name, version, digest }: SkillReference, args: Arguments, nowMs: number): AllowListEntry {
    this.requireCurrent(nowMs);
    const entry = this.#skills.get(`${name}@${version}`);
    const what = `the skill ${name}@${version}`;
    if (entry === undefined)
      throw new Refusal('not_listed', `${what} is not on the allow-list`, { name, version });
    if (entry.digest !== digest) {
      throw new Refusal('digest_mismatch', `${what} is another package than the one that was signed`, {
        value: digest,
        limit: entry.digest,
      });
    }
    requireUnexpired(what, entry.expires_at, nowMs);
    this.#checkOf(entry)?.(args);
    return entry;
  }

  /**
   * @param command the text that a shell runs, or an argv; `allowRaw` is the agent's own setting.
   * @throws Refusal expired, not_listed, raw_disabled
   */
  command(
    command: string | readonly string[],
    { allowRaw }: { readonly allowRaw: boolean },
    nowMs: number,
  ): AllowListEntry {
    this.requireCurrent(nowMs);
    const digest = commandDigest(command);
    const entry = this.#commands.get(digest);
    if (entry === undefined)
      throw new Refusal('not_listed', 'the command is not on the allow-list', { digest });
    if (!allowRaw)
      throw new Refusal('raw_disabled', 'this agent runs skills only: allow_raw is false', { digest });
    requireUnexpired('the command', entry.expires_at, nowMs);
    return entry;
  }

  #checkOf(entry: AllowListEntry): CheckArguments | undefined {
    if (entry.args_schema === undefined) return undefined;
    let check = this.#checks.get(entry);
    if (check === undefined) {
      try {
        check = compileArguments(entry.args_schema, 'args_schema');
      } catch (cause) {
        // Signed, but by somebody who let a schema pass that is none.
        const why = cause instanceof Error ? cause.message : '';
        throw new Refusal('args_invalid', `no arguments can be checked: ${why}`, {}, { cause });
      }
      this.#checks.set(entry, check);
    }
    return check;
  }
}

/** @throws Refusal privileged: the task asks for more than was signed for what it runs. */
export function requireWithin(
  entry: AllowListEntry,
  {
    envRefs = [],
    capabilities = [],
  }: { readonly envRefs?: readonly string[]; readonly capabilities?: readonly string[] },
): void {
  const asked = [
    ...envRefs.filter((name) => entry.env_refs?.includes(name) !== true),
    ...capabilities.filter((name) => entry.capabilities?.includes(name) !== true),
  ];
  if (asked.length > 0)
    throw new Refusal('privileged', `the entry does not grant ${asked.join(', ')}`, { value: asked });
}

function commandDigest(command: string | readonly string[]): string {
  try {
    return digestOfCommand(command);
  } catch (cause) {
    if (!(cause instanceof ReeveError)) throw cause;
    throw new Refusal('not_listed', `${cause.message}; no allow-list can hold it`, {}, { cause });
  }
}

function requireUnexpired(what: string, expires: string | undefined, nowMs: number): void {
  if (expires !== undefined && timeMs(expires, 'expires_at') <= nowMs)
    throw new Refusal('expired', `${what} ended at ${expires}`, { expires_at: expires });
}
