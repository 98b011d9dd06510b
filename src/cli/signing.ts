/** What the commands that sign have in common. */
import { resolve } from 'node:path';
import type { SignatureRules } from '../evidence/signature.ts';
import { loadSigningKey, readSmallFile, signsByItself } from '../policy/key-source.ts';
import { publicKeyFrom, type PublicKey, type SigningKey } from '../policy/keys.ts';
import { trustFrom } from '../policy/trust.ts';
import type { CliContext, Flags } from './command.ts';
import { escapeControls } from './output.ts';

export function isSigningAsked(flags: Flags): boolean {
  return flags.on('sign') || flags.on('key');
}

/** Loads the key, and warns when others can read it. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function signingKey(ctx: CliContext, flags: Flags): Promise<SigningKey> {
  const { key, warning } = await loadSigningKey(ctx.env, ctx.cwd, flags.text('key'));
  if (warning !== undefined) ctx.stderr.write(`warning: ${escapeControls(warning)}\n`);
  return key;
}

/** The key for a pack that is about to be written; undefined when it is not to be signed. */
export async function packSigningKey(ctx: CliContext, flags: Flags): Promise<SigningKey | undefined> {
  return isSigningAsked(flags) || signsByItself(ctx.env) ? signingKey(ctx, flags) : undefined;
}

const SIGNATURE_FLAGS = ['public-key', 'trust', 'signature', 'require-signature', 'require-signed-approvals'];

/** What `verify` is asked about signatures; undefined: nothing. @throws ReeveError E_INVALID_INPUT_SCHEMA for the files. */
export async function signatureRules(ctx: CliContext, flags: Flags): Promise<SignatureRules | undefined> {
  if (!SIGNATURE_FLAGS.some((name) => flags.on(name))) return undefined;
  const read = async (flag: string, file: string): Promise<string> =>
    (await readSmallFile(resolve(ctx.cwd, file), flag)).text;
  const publicKeys: PublicKey[] = [];
  for (const file of flags.texts('public-key'))
    publicKeys.push(publicKeyFrom(await read('--public-key', file), `--public-key ${file}`));
  const trust = flags.text('trust');
  const sidecar = flags.text('signature');
  return {
    publicKeys,
    requireSignature: flags.on('require-signature'),
    requireSignedApprovals: flags.on('require-signed-approvals'),
    ...(trust === undefined ? {} : { trust: trustFrom(await read('--trust', trust), `--trust ${trust}`) }),
    ...(sidecar === undefined ? {} : { sidecar: resolve(ctx.cwd, sidecar) }),
  };
}
