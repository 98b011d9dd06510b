/** The writing side: digests of what is to be verified, documents and their signatures. */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../../model/canonical.ts';
import { ReeveError } from '../../model/errors.ts';
import type { PublicKey, SigningKey } from '../keys.ts';
import { requireAllowList, requireApproval } from './document.ts';
import type { AllowListDocument, DestructiveApproval, Signature, Signed } from './schema.ts';

/** Of a package file. */
export function digestOfBytes(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * Of a command that a shell runs: its exact UTF-8 bytes; or of an argv: its canonical JSON.
 * @throws ReeveError E_INVALID_INPUT_SCHEMA for text that is no Unicode, and for text that is the canonical JSON of an
 *   argv: both would have one digest, and whoever allowed the one has not read the other.
 */
export function digestOfCommand(command: string | readonly string[]): string {
  const texts = typeof command === 'string' ? [command] : command;
  if (texts.some((text) => !text.isWellFormed() || text.includes('\0')))
    throw refuse('holds a NUL or a lone surrogate, which no command line can carry');
  if (typeof command !== 'string') {
    if (command.length === 0) throw refuse('is an empty argv');
    return digestOfBytes(Buffer.from(canonicalJson(command)));
  }
  if (command.trim() === '') throw refuse('is empty');
  if (readsAsArgv(command)) throw refuse('reads as an argv: give it as one');
  return digestOfBytes(Buffer.from(command));
}

function readsAsArgv(text: string): boolean {
  if (!text.startsWith('[')) return false;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string');
  } catch {
    return false;
  }
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA {field}: the document is none. */
export function signAllowList(
  document: AllowListDocument,
  keys: readonly SigningKey[],
): Signed<AllowListDocument> {
  return signed(requireAllowList(document), keys);
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA {field}: the approval is none. */
export function signApproval(approval: DestructiveApproval, key: SigningKey): Signed<DestructiveApproval> {
  return signed(requireApproval(approval), [key]);
}

/** Adds the signature of one more key; in place of an older one of the same key. */
export function addSignature<Document>(envelope: Signed<Document>, key: SigningKey): Signed<Document> {
  const added = signature(envelope.document, key);
  const others = envelope.signatures.filter(({ key_id: id }) => id !== added.key_id);
  return { document: envelope.document, signatures: inOrder([...others, added]) };
}

/** The file's text: RFC 8785, so that the same list has the same `ETag` everywhere. */
export function textOf(envelope: Signed<AllowListDocument> | Signed<DestructiveApproval>): string {
  return canonicalJson(envelope);
}

/** The keys that signed this, each once, in the order given. A signature of a key that is not given says nothing. */
export function signersOf<Key extends PublicKey>(
  { document, signatures }: Signed<unknown>,
  keys: readonly Key[],
): readonly Key[] {
  const bytes = Buffer.from(canonicalJson(document));
  return keys.filter((key) =>
    signatures.some(
      ({ key_id: id, sig }) => id === key.keyId && key.verifies(bytes, Buffer.from(sig, 'base64')),
    ),
  );
}

function signed<Document>(document: Document, keys: readonly SigningKey[]): Signed<Document> {
  return { document, signatures: inOrder(keys.map((key) => signature(document, key))) };
}

function signature(document: unknown, key: SigningKey): Signature {
  const bytes = Buffer.from(canonicalJson(document));
  return { key_id: key.publicKey.keyId, sig: key.sign(bytes).toString('base64') };
}

function inOrder(signatures: readonly Signature[]): readonly Signature[] {
  return signatures.toSorted((a, b) => (a.key_id < b.key_id ? -1 : 1));
}

function refuse(problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the command ${problem}`, { field: 'command', problem });
}
