import { Refusal, type RefusalReason } from '../../../src/policy/allow-list/refusal.ts';
import type { AllowListDocument, AllowListEntry } from '../../../src/policy/allow-list/schema.ts';
import { signAllowList, textOf } from '../../../src/policy/allow-list/sign.ts';
import type { SigningKey } from '../../../src/policy/keys.ts';
import { testKey } from '../support.ts';

export const ADA = testKey('a');
export const BOB = testKey('b');
export const EVE = testKey('e');
export const NOW = Date.parse('2026-06-01T00:00:00Z');
export const PACKAGE = `sha256:${'1'.repeat(64)}`;

export const SKILL: AllowListEntry = {
  kind: 'skill',
  name: 'backup_integrity',
  version: '1.2.0',
  digest: PACKAGE,
  env_refs: ['BACKUP_TOKEN'],
  capabilities: ['network'],
};

export function documentOf(entries: readonly AllowListEntry[], more: object = {}): AllowListDocument {
  return {
    version: 1,
    tenant: 'acme',
    serial: 7,
    issued_at: '2026-01-01T00:00:00Z',
    expires_at: '2026-12-31T00:00:00Z',
    entries,
    ...more,
  };
}

export function bytesOf(document: AllowListDocument, ...keys: readonly SigningKey[]): Buffer {
  return Buffer.from(textOf(signAllowList(document, keys)));
}

export const TRUST = {
  keys: [ADA.publicKey, BOB.publicKey],
  threshold: 1,
  tenant: 'acme',
  nowMs: NOW,
  lastSerial: 7,
};

/** Why it was refused. */
export function reasonOf(act: () => unknown): RefusalReason {
  try {
    act();
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
  throw new Error('nothing was refused');
}
