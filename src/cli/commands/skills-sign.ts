/** `reeve skills sign`: what a reviewer does (contract agents §5): the next allow-list, or one more signature under it. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { writeFileAtomically } from '../../evidence/output-file.ts';
import { isErrno } from '../../executors/process/record.ts';
import { ReeveError } from '../../model/errors.ts';
import { amend, keyOf, VALID_DAYS_DEFAULT, type Amended } from '../../policy/allow-list/amend.ts';
import { readAllowList } from '../../policy/allow-list/open.ts';
import type { AllowListDocument, AllowListEntry, Signed } from '../../policy/allow-list/schema.ts';
import {
  addSignature,
  digestOfCommand,
  signAllowList,
  signersOf,
  textOf,
} from '../../policy/allow-list/sign.ts';
import { readSmallFile } from '../../policy/key-source.ts';
import { publicKeyFrom, type SigningKey } from '../../policy/keys.ts';
import type { CliContext, CommandHandler, Flags } from '../command.ts';
import { escapeControls } from '../output.ts';
import { signingKey } from '../signing.ts';
import { packageOf, skillPaths } from '../agents/skill-places.ts';

export const ALLOW_LIST_FILE = 'allowlist.json';
const DAYS_MAX = 3650;

export const skillsSign: CommandHandler = async (ctx, { args, rest, flags }) => {
  const path = resolve(ctx.cwd, flags.text('allow-list') ?? ALLOW_LIST_FILE);
  const before = await listAt(path);
  const add = await entriesOf(ctx, flags, { args, rest });
  const remove = flags.texts('remove');
  const days = daysOf(flags);
  const key = await signingKey(ctx, flags);
  const isNext = add.length > 0 || remove.length > 0 || days !== undefined;
  if (!isNext && before === undefined)
    throw new ReeveError('E_USAGE', `there is no ${path} to sign, and no skill was named`, { path });
  const tenant = flags.text('tenant');
  if (tenant !== undefined && before !== undefined && before.document.tenant !== tenant)
    throw new ReeveError('E_USAGE', `${path} is of the tenant ${before.document.tenant}`, {
      flag: '--tenant',
      value: tenant,
    });
  if (isNext && before !== undefined) await requireKnownSigner(ctx, flags, before, key, path);
  const amended = isNext
    ? amend(before?.document, {
        add,
        remove,
        days: days ?? VALID_DAYS_DEFAULT,
        nowMs: Date.now(),
        tenant: tenant ?? 'default',
      })
    : undefined;
  const signed =
    amended === undefined && before !== undefined
      ? addSignature(before, key)
      : signAllowList((amended as Amended).document, [key]);
  await writeFileAtomically(path, (sink) => sink.write(Buffer.from(`${textOf(signed)}\n`)), { mode: 0o644 });
  return shown(path, signed, amended);
};

function shown(
  path: string,
  { document, signatures }: Signed<AllowListDocument>,
  amended: Amended | undefined,
) {
  const { added = [], replaced = [], removed = [] } = amended ?? {};
  const { serial, tenant, expires_at, entries } = document;
  const signers = signatures.map(({ key_id: id }) => id);
  return {
    json: {
      path,
      tenant,
      serial,
      expires_at,
      entries: entries.length,
      added,
      replaced,
      removed,
      signed_by: signers,
    },
    text: [
      ...added.map((key) => `+ ${escapeControls(key)}`),
      ...replaced.map((key) => `~ ${escapeControls(key)}`),
      ...removed.map((key) => `- ${escapeControls(key)}`),
      // Who adds a signature signs all of it.
      ...(amended === undefined
        ? entries.map((entry) => `  ${escapeControls(keyOf(entry))} ${entry.digest}`)
        : []),
      `signed ${escapeControls(path)} serial=${serial} entries=${entries.length} until=${expires_at} signatures=${signers.length}`,
    ],
  };
}

/**
 * Whoever can write the file could otherwise have entries signed that nobody has seen.
 * @throws ReeveError E_UNSAFE_OPERATION
 */
async function requireKnownSigner(
  ctx: CliContext,
  flags: Flags,
  before: Signed<AllowListDocument>,
  key: SigningKey,
  path: string,
): Promise<void> {
  const keys = [key.publicKey];
  for (const file of flags.texts('public-key'))
    keys.push(publicKeyFrom((await readSmallFile(resolve(ctx.cwd, file), '--public-key')).text, file));
  if (signersOf(before, keys).length > 0) return;
  throw new ReeveError(
    'E_UNSAFE_OPERATION',
    `${path} was signed by none of the keys given: nobody vouches for its entries; name its signer with --public-key`,
    { path },
  );
}

async function entriesOf(
  ctx: CliContext,
  flags: Flags,
  { args, rest }: { readonly args: readonly string[]; readonly rest: readonly string[] },
): Promise<readonly AllowListEntry[]> {
  const packages = await Promise.all(skillPaths(ctx, args).map(packageOf));
  const skills = packages.map(({ manifest, digest }): AllowListEntry => {
    const { name, version, args: list, secrets } = manifest;
    return {
      kind: 'skill',
      name,
      version,
      digest,
      args_schema: list,
      ...(secrets.length === 0 ? {} : { env_refs: secrets }),
    };
  });
  const commands = [...flags.texts('command'), ...(rest.length === 0 ? [] : [rest])];
  return [
    ...skills,
    ...commands.map((command): AllowListEntry => ({ kind: 'command', digest: digestOfCommand(command) })),
  ];
}

/** @throws ReeveError E_USAGE */
function daysOf(flags: Flags): number | undefined {
  const days = flags.number('days');
  if (days === undefined || (days >= 1 && days <= DAYS_MAX)) return days;
  throw new ReeveError('E_USAGE', `--days must be 1 to ${DAYS_MAX}`, { flag: '--days', value: days });
}

/** @throws Refusal bad_signature: it is no allow-list */
export async function listAt(path: string): Promise<Signed<AllowListDocument> | undefined> {
  try {
    return readAllowList(await readFile(path));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
