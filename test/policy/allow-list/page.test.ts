/** docs/agents-verified.md says what the code does. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { approveDestructive, openAllowList } from '../../../src/policy/allow-list/open.ts';
import { REFUSAL_REASONS } from '../../../src/policy/allow-list/refusal.ts';
import { digestOfCommand } from '../../../src/policy/allow-list/sign.ts';
import { publicKeyFrom } from '../../../src/policy/keys.ts';
import { SECRET_TYPES } from '../../../src/policy/redaction/secrets.ts';

const PAGE = readFileSync(new URL('../../../docs/agents-verified.md', import.meta.url), 'utf8');

function block(language: string): Buffer {
  const found = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'm').exec(PAGE)?.[1];
  if (found === undefined) throw new Error(`no block of ${language}`);
  return Buffer.from(found);
}

/** The first column of the table below a heading, without its backticks. */
function firstColumn(heading: string): readonly string[] {
  const section = PAGE.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name);
}

const KEY = publicKeyFrom(block('pem').toString(), 'the page');

test('its allow-list is one, signed by its key', () => {
  const nowMs = Date.parse('2026-11-15T00:00:00Z');
  const list = openAllowList(block('json allow-list'), {
    keys: [KEY],
    threshold: 1,
    tenant: 'acme',
    nowMs,
    lastSerial: 11,
  });
  const { name = '', version = '', digest = '' } = list.document.entries[0] ?? {};
  expect(
    list.skill({ name, version, digest }, { dir: '/srv/backups/db', 'max-age-days': 3 }, nowMs).kind,
  ).toBe('skill');
  expect(list.command(['df', '-h'], { allowRaw: true }, nowMs).digest).toBe(digestOfCommand(['df', '-h']));
});

test('its approval is one', () => {
  const digest = `sha256:${'3b7e0c51'.repeat(8)}`;
  const taskId = '0b9f2a64-3a52-4a0e-9a43-5f6f0d1f1c11';
  const keys = [{ name: 'ada', publicKey: KEY }];
  const nowMs = Date.parse('2026-11-02T00:00:00Z');
  expect(() => approveDestructive(block('json approval'), { taskId, digest, keys, nowMs })).not.toThrow();
});

test('its tables name every reason and every type', () => {
  expect(firstColumn('Why something is refused')).toEqual([...REFUSAL_REASONS]);
  expect(new Set(firstColumn('Redaction'))).toEqual(SECRET_TYPES);
});
