/** Verifies a pack together with who signed it and its approvals (docs/jobpack.md, "How to verify", step 9). */
import { ReeveError } from '../model/errors.ts';
import type { SignatureEnvelope } from '../model/events.ts';
import { signatureBy, says } from '../policy/dsse.ts';
import type { PublicKey } from '../policy/keys.ts';
import type { TrustedKey } from '../policy/trust.ts';
import type { RecordedApproval } from './approvals.ts';
import { mismatch } from './pack-reader.ts';
import { readSidecar, sidecarPath, statementOf } from './sidecar.ts';
import { withVerified, type Verified } from './verify.ts';

/** What is asked for. At least one key is needed. */
export interface SignatureRules {
  /** Each of them has to have signed the pack, if it is signed at all. */
  readonly publicKeys?: readonly PublicKey[];
  /** One of these has to have signed the pack, if it is signed at all. */
  readonly trust?: readonly TrustedKey[];
  /** The pack has to be signed. */
  readonly requireSignature?: boolean;
  /** Every approval has to be signed by a known key. */
  readonly requireSignedApprovals?: boolean;
  /** Where the signatures are; default: beside the pack. */
  readonly sidecar?: string;
}

export interface PackSignature {
  readonly keyId: string;
  readonly name?: string;
  readonly status: 'good' | 'unknown';
}

export interface ApprovalSignature {
  readonly checkpointId: string;
  readonly approvedBy: string;
  readonly keyId?: string;
  readonly name?: string;
  readonly status: 'good' | 'unknown' | 'unsigned';
}

export interface SignedVerified extends Verified {
  readonly signatures: readonly PackSignature[];
  /** In their order in the pack. */
  readonly approvals: readonly ApprovalSignature[];
}

/**
 * @throws ReeveError E_VERIFY_HASH_MISMATCH: the pack or a signature is not what it should be; E_INVALID_INPUT_SCHEMA:
 * no key was given, or a file is missing or cannot be read.
 */
export async function verifySignedJobpack(path: string, rules: SignatureRules): Promise<SignedVerified> {
  const known = new KnownKeys(rules);
  const approvals = new ApprovalsCheck(known, rules);
  return withVerified(
    path,
    async (verified, reader) => {
      const told = approvals.result();
      const sidecar = rules.sidecar ?? sidecarPath(path);
      const read = await readSidecar(sidecar, rules.sidecar !== undefined);
      if (read === undefined && rules.requireSignature === true)
        throw mismatch(`the pack is not signed: there is no ${sidecar}`, { path: sidecar });
      if (read === undefined && rules.sidecar !== undefined) {
        throw new ReeveError('E_INVALID_INPUT_SCHEMA', `the signature ${sidecar} does not exist`, {
          path: sidecar,
        });
      }
      if (read !== undefined && 'problem' in read)
        throw mismatch(`the signature ${sidecar} ${read.problem}`, { path: sidecar, reason: read.problem });
      let signatures: readonly PackSignature[] = [];
      if (read !== undefined) {
        if (!says(read.envelope, await statementOf(verified, reader)))
          throw mismatch(`${sidecar} is a signature of something else than this pack`, { path: sidecar });
        signatures = known.packSignatures(read.envelope, sidecar);
      }
      return { ...verified, signatures, approvals: told };
    },
    (approval) => approvals.add(approval),
  );
}

/** Keys by id, with the person where a trust file names one. */
class KnownKeys {
  readonly #publicKeys: readonly PublicKey[];
  readonly #trust: readonly TrustedKey[];
  readonly #byId = new Map<string, { readonly key: PublicKey; readonly name?: string }>();

  constructor({ publicKeys = [], trust = [] }: SignatureRules) {
    if (publicKeys.length + trust.length === 0) {
      throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'checking signatures needs --public-key or --trust', {
        flag: '--public-key',
      });
    }
    this.#publicKeys = publicKeys;
    this.#trust = trust;
    for (const key of publicKeys) this.#byId.set(key.keyId, { key });
    for (const { name, publicKey: key } of trust) this.#byId.set(key.keyId, { key, name });
  }

  /** Whose signatures there are. @throws ReeveError when a known one is wrong. @param where names them in the error. */
  signatures(envelope: SignatureEnvelope, where: string): readonly PackSignature[] {
    return envelope.signatures.map(({ keyid: keyId }) => {
      const known = this.#byId.get(keyId);
      if (known === undefined) return { keyId, status: 'unknown' };
      const named = known.name === undefined ? {} : { name: known.name };
      if (signatureBy(envelope, known.key) === 'good') return { keyId, ...named, status: 'good' };
      throw mismatch(`${where}: the signature by ${known.name ?? 'key'} ${keyId} is wrong`, {
        key_id: keyId,
        ...named,
      });
    });
  }

  /** The same for a pack, which has to be signed by those that were asked for. */
  packSignatures(envelope: SignatureEnvelope, where: string): readonly PackSignature[] {
    const signatures = this.signatures(envelope, where);
    const good = new Set(signatures.flatMap(({ keyId, status }) => (status === 'good' ? [keyId] : [])));
    const absent = this.#publicKeys.find(({ keyId }) => !good.has(keyId));
    if (absent !== undefined)
      throw mismatch(`${where} holds no signature by key ${absent.keyId}`, {
        path: where,
        key_id: absent.keyId,
      });
    if (this.#trust.length > 0 && !this.#trust.some(({ publicKey }) => good.has(publicKey.keyId)))
      throw mismatch(`${where} holds no signature by a trusted key`, { path: where });
    return signatures;
  }
}

/** Hears of approvals while the pack is verified; what is wrong with them is told only once the rest is known. */
class ApprovalsCheck {
  readonly #known: KnownKeys;
  readonly #rules: SignatureRules;
  readonly #found: ApprovalSignature[] = [];
  #failure: unknown;

  constructor(known: KnownKeys, rules: SignatureRules) {
    this.#known = known;
    this.#rules = rules;
  }

  add(approval: RecordedApproval): void {
    if (this.#failure !== undefined) return;
    try {
      this.#found.push(this.#check(approval));
    } catch (error) {
      this.#failure = error;
    }
  }

  result(): readonly ApprovalSignature[] {
    if (this.#failure !== undefined) throw this.#failure as ReeveError;
    return this.#found;
  }

  #check({ checkpointId, approvedBy, signature }: RecordedApproval): ApprovalSignature {
    const { trust, requireSignedApprovals } = this.#rules;
    const where = `the approval of ${checkpointId} by ${approvedBy}`;
    const details = { checkpoint_id: checkpointId, approved_by: approvedBy };
    const signatures = signature === undefined ? [] : this.#known.signatures(signature, where);
    const good = signatures.filter(({ status }) => status === 'good');
    // A trust file says who people are: then a known key speaks only for its own person.
    const other = trust === undefined ? undefined : good.find(({ name }) => name !== approvedBy);
    if (other !== undefined) {
      throw mismatch(`${where} is signed with the key of ${other.name ?? 'nobody who is named'}`, {
        ...details,
        key_id: other.keyId,
      });
    }
    if (requireSignedApprovals === true && good.length === 0)
      throw mismatch(`${where} is not signed by a known key`, details);
    return { checkpointId, approvedBy, ...(good[0] ?? signatures[0] ?? { status: 'unsigned' }) };
  }
}
