/** What an agent accepts as an allow-list (contract agents §5, J16). */
import { describe, expect, test } from 'vitest';
import { approveDestructive, openAllowList, readAllowList } from '../../../src/policy/allow-list/open.ts';
import type { AllowListDocument } from '../../../src/policy/allow-list/schema.ts';
import { addSignature, signAllowList, signApproval, textOf } from '../../../src/policy/allow-list/sign.ts';
import { refusalOf, testKey } from '../support.ts';
import { ADA, BOB, bytesOf, documentOf, EVE, NOW, PACKAGE, reasonOf, SKILL, TRUST } from './rig.ts';

const SIGNED = bytesOf(documentOf([SKILL]), ADA);

/** The envelope of Ada's list, changed after it was signed. */
function altered(
  change: (envelope: { document: Record<string, unknown>; signatures: unknown[] }) => void,
): Buffer {
  const envelope = JSON.parse(SIGNED.toString()) as {
    document: Record<string, unknown>;
    signatures: unknown[];
  };
  change(envelope);
  return Buffer.from(JSON.stringify(envelope));
}

describe('an allow-list is believed (J16)', () => {
  test('when a trusted key has signed it, in whatever JSON form it comes', () => {
    expect(openAllowList(SIGNED, TRUST).serial).toBe(7);
    const pretty = Buffer.from(JSON.stringify(JSON.parse(SIGNED.toString()), null, 2));
    expect(openAllowList(pretty, TRUST).document.entries).toEqual([SKILL]);
  });

  test('a good signature beside those of strangers is enough', () => {
    const envelope = addSignature(signAllowList(documentOf([SKILL]), [EVE]), ADA);
    expect(openAllowList(Buffer.from(textOf(envelope)), TRUST).serial).toBe(7);
  });

  test('up to the last serial, and from there on', () => {
    for (const lastSerial of [0, 6, 7]) openAllowList(SIGNED, { ...TRUST, lastSerial });
    expect(reasonOf(() => openAllowList(SIGNED, { ...TRUST, lastSerial: 8 }))).toBe('rollback');
  });

  test('until its end, to the second', () => {
    const end = Date.parse('2026-12-31T00:00:00Z');
    openAllowList(SIGNED, { ...TRUST, nowMs: end - 1 });
    expect(reasonOf(() => openAllowList(SIGNED, { ...TRUST, nowMs: end }))).toBe('expired');
  });

  test('by as many different keys as the threshold says', () => {
    const two = { ...TRUST, threshold: 2 };
    expect(openAllowList(bytesOf(documentOf([SKILL]), ADA, BOB), two).serial).toBe(7);
    expect(reasonOf(() => openAllowList(SIGNED, two))).toBe('bad_signature');
    const twice = altered(({ signatures }) => signatures.push(signatures[0]));
    expect(reasonOf(() => openAllowList(twice, two))).toBe('bad_signature');
    expect(
      reasonOf(() => openAllowList(twice, { ...two, keys: [ADA.publicKey, testKey('a').publicKey] })),
    ).toBe('bad_signature');
  });
});

describe('an allow-list is refused (J16)', () => {
  test.each([
    ['a stranger signed it', bytesOf(documentOf([SKILL]), EVE)],
    ['it is for another tenant', bytesOf(documentOf([SKILL], { tenant: 'other' }), ADA)],
    ['a field was changed', altered(({ document }) => (document['serial'] = 8))],
    [
      'an entry was added',
      altered(({ document }) => (document['entries'] as unknown[]).push({ ...SKILL, name: 'x1' })),
    ],
    ['an unknown field was added', altered(({ document }) => (document['note'] = ''))],
    ['there are no signatures', altered((envelope) => (envelope.signatures = []))],
    [
      'the signature is of another length',
      altered(({ signatures }) => Object.assign(signatures[0] as object, { sig: 'AA==' })),
    ],
    [
      "a trusted key's id stands at a stranger's signature",
      Buffer.from(
        textOf(signAllowList(documentOf([SKILL]), [EVE])).replace(EVE.publicKey.keyId, ADA.publicKey.keyId),
      ),
    ],
    ['it is no JSON', Buffer.from('{')],
    ['it is no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['it is empty', Buffer.alloc(0)],
    ['it holds half a character', Buffer.from(SIGNED.toString().replace('backup_', String.raw`\ud800`))],
    [
      'it is nested without end',
      Buffer.from(
        SIGNED.toString().replace(
          '"kind"',
          `"args_schema":{"a":${'['.repeat(99_999)}${']'.repeat(99_999)}},"kind"`,
        ),
      ),
    ],
    ['it is far too long', Buffer.alloc(9 * 1024 * 1024, ' ')],
  ])('bad_signature: %s', (_, bytes) => {
    expect(reasonOf(() => openAllowList(bytes, TRUST))).toBe('bad_signature');
  });

  test('every single byte of the document counts', () => {
    const { document } = JSON.parse(SIGNED.toString()) as { document: AllowListDocument };
    const text = SIGNED.toString();
    const from = text.indexOf(JSON.stringify(document.entries[0]?.name));
    for (const at of [from + 1, text.indexOf('11111'), text.indexOf('2026-12'), text.indexOf('BACKUP')]) {
      const bytes = Buffer.from(SIGNED);
      bytes[at] = bytes[at] === 0x31 ? 0x32 : 0x31;
      expect(reasonOf(() => openAllowList(bytes, TRUST))).toBe('bad_signature');
    }
  });

  test('a threshold that no number of keys can reach is a mistake of the configuration', () => {
    for (const threshold of [0, 3, 1.5])
      expect(refusalOf(() => openAllowList(SIGNED, { ...TRUST, threshold })).code).toBe(
        'E_INVALID_INPUT_SCHEMA',
      );
    expect(reasonOf(() => openAllowList(SIGNED, { ...TRUST, keys: [] }))).toBe('bad_signature');
  });
});

describe('what cannot be a list is not signed', () => {
  test.each([
    ['/expires_at', { expires_at: '2025-01-01T00:00:00Z' }],
    ['/expires_at', { expires_at: '2026-02-30T00:00:00Z' }],
    ['/serial', { serial: 0 }],
    ['/version', { version: 2 }],
    ['/tenant', { tenant: '' }],
    ['/note', { note: 'x' }],
    ['/entries/1', { entries: [SKILL, { ...SKILL, digest: `sha256:${'2'.repeat(64)}` }] }],
    ['/entries/0', { entries: [{ kind: 'skill', digest: PACKAGE }] }],
    ['/entries/0/digest', { entries: [{ ...SKILL, digest: '1'.repeat(64) }] }],
    ['/entries/0/path', { entries: [{ ...SKILL, path: '/bin/sh' }] }],
    ['/entries/0/args_schema', { entries: [{ kind: 'command', digest: PACKAGE, args_schema: {} }] }],
    ['/entries/0/args_schema', { entries: [{ ...SKILL, args_schema: { type: 'nonsense' } }] }],
    [
      '/entries/0/args_schema',
      { entries: [{ ...SKILL, args_schema: { properties: { a: { pattern: '(?=x)' } } } }] },
    ],
    [
      '/entries/0/args_schema/0/pattern',
      { entries: [{ ...SKILL, args_schema: [{ name: 'a', type: 'string', pattern: String.raw`(a)\1` }] }] },
    ],
  ])('%s of %j', (field, more) => {
    const error = refusalOf(() => signAllowList(documentOf([SKILL], more), [ADA]));
    expect(error.code).toBe('E_INVALID_INPUT_SCHEMA');
    expect(error.details?.['field']).toBe(field);
  });

  test('the same list has the same bytes, whatever the order of the keys', () => {
    const there = bytesOf(documentOf([SKILL]), ADA, BOB);
    expect(bytesOf(documentOf([SKILL]), BOB, ADA).equals(there)).toBe(true);
    expect(readAllowList(there).signatures).toHaveLength(2);
  });
});

describe('what a destructive skill needs', () => {
  const approval = { task_id: 't1', digest: PACKAGE, approver: 'ada', expires_at: '2026-06-02T00:00:00Z' };
  const needed = {
    taskId: 't1',
    digest: PACKAGE,
    keys: [
      { name: 'ada', publicKey: ADA.publicKey },
      { name: 'bob', publicKey: BOB.publicKey },
    ],
    nowMs: NOW,
  };
  const signed = (more: object = {}, key = ADA): Buffer =>
    Buffer.from(textOf(signApproval({ ...approval, ...more }, key)));

  test('an approval of its task and package, by a trusted key', () => {
    expect(() => approveDestructive(signed(), needed)).not.toThrow();
    expect(() => approveDestructive(signed({ approver: 'bob' }, BOB), needed)).not.toThrow();
  });

  test.each([
    ['needs_approval', 'there is none', undefined],
    ['needs_approval', 'it is for another task', signed({ task_id: 't2' })],
    ['needs_approval', 'it is for another package', signed({ digest: `sha256:${'2'.repeat(64)}` })],
    ['needs_approval', "it bears another person's name", signed({ approver: 'bob' })],
    ['bad_signature', 'a stranger signed it', signed({}, EVE)],
    ['bad_signature', 'it was changed', Buffer.from(signed().toString().replace('"t1"', '"t2"'))],
    ['bad_signature', 'it is an allow-list', SIGNED],
    ['expired', 'it has ended', signed({ expires_at: '2026-06-01T00:00:00Z' })],
  ] as const)('%s: %s', (reason, _, bytes) => {
    expect(reasonOf(() => approveDestructive(bytes, needed))).toBe(reason);
  });
});
