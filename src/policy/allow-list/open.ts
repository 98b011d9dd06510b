/**
 * What an agent believes of an allow-list (contract agents §5): enough good signatures of keys that its own configuration
 * trusts, its own tenant, no older list than it has seen, and not past its end. Everything else is refused.
 */
import { canonicalJson } from '../../model/canonical.ts';
import { ReeveError } from '../../model/errors.ts';
import type { PublicKey } from '../keys.ts';
import { AllowList } from './allow-list.ts';
import { requireSignedAllowList, requireSignedApproval, timeMs } from './document.ts';
import { Refusal } from './refusal.ts';
import { ALLOW_LIST_BYTES_MAX, type AllowListDocument, type Signed } from './schema.ts';
import { signersOf } from './sign.ts';

export interface AllowListTrust {
  /** Of the agent's own configuration, never of the control plane. */
  readonly keys: readonly PublicKey[];
  /** How many different keys must have signed, at least 1 and at most all of `keys`. */
  readonly threshold: number;
  readonly tenant: string;
  readonly nowMs: number;
  /** The highest serial ever accepted, 0 at first. The caller keeps it on disk before it uses the list. */
  readonly lastSerial: number;
}

/**
 * @param bytes of the envelope, in any JSON form.
 * @throws Refusal bad_signature (also: no allow-list, another tenant's), rollback, expired.
 *   ReeveError E_INVALID_INPUT_SCHEMA for a threshold that cannot be.
 */
export function openAllowList(bytes: Uint8Array, trust: AllowListTrust): AllowList {
  const { keys, threshold, tenant, nowMs, lastSerial } = trust;
  if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > Math.max(keys.length, 1)) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `the threshold is ${threshold}; with ${keys.length} trusted keys it can be 1 to ${keys.length}`,
      { field: 'threshold', value: threshold, limit: keys.length },
    );
  }
  const envelope = readAllowList(bytes);
  const { document } = envelope;
  const signers = new Set(signersOf(envelope, keys).map(({ keyId }) => keyId));
  if (signers.size < threshold) {
    throw new Refusal(
      'bad_signature',
      `the allow-list has ${signers.size} good signatures of trusted keys, ${threshold} are needed`,
      { value: signers.size, limit: threshold },
    );
  }
  if (document.tenant !== tenant)
    throw new Refusal('bad_signature', 'the allow-list was signed for another tenant', {
      tenant: document.tenant,
    });
  if (document.serial < lastSerial) {
    throw new Refusal(
      'rollback',
      `the allow-list has serial ${document.serial}, ${lastSerial} was seen already`,
      {
        value: document.serial,
        limit: lastSerial,
      },
    );
  }
  const list = new AllowList(document);
  list.requireCurrent(nowMs);
  return list;
}

/** Reads without believing anything: for whoever signs, publishes or shows one. @throws Refusal bad_signature: it is none. */
export function readAllowList(bytes: Uint8Array): Signed<AllowListDocument> {
  return read(bytes, requireSignedAllowList, 'the allow-list');
}

export interface ApprovalNeeded {
  readonly taskId: string;
  /** Of the package that is to act. */
  readonly digest: string;
  /** Trusted keys with the names of their people. */
  readonly keys: readonly { readonly name: string; readonly publicKey: PublicKey }[];
  readonly nowMs: number;
}

/**
 * Whether a destructive skill may act, once, for this task.
 * @param approval the envelope's bytes; undefined when there is none.
 * @throws Refusal needs_approval (none, or of another task, package or person), bad_signature, expired.
 */
export function approveDestructive(approval: Uint8Array | undefined, needed: ApprovalNeeded): void {
  if (approval === undefined)
    throw new Refusal('needs_approval', 'nobody has approved what this skill destroys');
  const envelope = read(approval, requireSignedApproval, 'the approval');
  const { task_id: task, digest, approver, expires_at: expires } = envelope.document;
  const signers = signersOf(
    envelope,
    needed.keys.map(({ publicKey }) => publicKey),
  );
  if (signers.length === 0) throw new Refusal('bad_signature', 'no trusted key has signed the approval');
  if (task !== needed.taskId || digest !== needed.digest) {
    const what = task === needed.taskId ? 'package' : 'task';
    throw new Refusal('needs_approval', `the approval is for another ${what}`, { task_id: task, digest });
  }
  const isOwn = needed.keys.some(({ name, publicKey }) => name === approver && signers.includes(publicKey));
  if (!isOwn) throw new Refusal('needs_approval', 'the approver is not whose key has signed', { approver });
  if (timeMs(expires, 'expires_at') <= needed.nowMs)
    throw new Refusal('expired', `the approval ended at ${expires}`, { expires_at: expires });
}

function read<Document>(
  bytes: Uint8Array,
  check: (value: unknown) => Signed<Document>,
  what: string,
): Signed<Document> {
  if (bytes.length > ALLOW_LIST_BYTES_MAX) {
    throw new Refusal(
      'bad_signature',
      `${what} has ${bytes.length} bytes, at most ${ALLOW_LIST_BYTES_MAX} are read`,
      {
        value: bytes.length,
        limit: ALLOW_LIST_BYTES_MAX,
      },
    );
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    // What no signature can be over: half a character, or nesting without end.
    canonicalJson(value);
    return check(value);
  } catch (cause) {
    const why = cause instanceof ReeveError ? cause.message : 'no JSON in UTF-8 that could be signed';
    throw new Refusal('bad_signature', `${what} is none: ${why}`, {}, { cause });
  }
}
