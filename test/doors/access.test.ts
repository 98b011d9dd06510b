import { expect, test } from 'vitest';
import { requireAccess } from '../../src/doors/access.ts';
import type { Principal } from '../../src/policy/auth/principal.ts';

function holder(tenant?: string, subject: string | undefined = 'ana'): Principal {
  return { via: 'token', subject, claims: {}, tenant, token: 't' };
}
const ANONYMOUS: Principal = { ...holder(), via: 'anonymous', subject: 'anonymous', token: undefined };
const DISABLED: Principal = { ...ANONYMOUS, via: 'disabled', subject: 'dev' };

test('H33 a token reaches what belongs to its tenant, and nothing else', () => {
  const NOT_MINE = expect.objectContaining({
    status: 403,
    message: expect.stringContaining('tenant'),
  }) as Error;
  expect(requireAccess(holder('acme'), { tenant: 'acme' })).toBeUndefined();
  expect(requireAccess(holder(), { tenant: undefined })).toBeUndefined();
  expect(requireAccess(ANONYMOUS, { tenant: undefined })).toBeUndefined();
  for (const [who, tenant] of [
    [holder('acme'), 'other'],
    [holder('acme'), 'ACME'],
    [holder('acme'), undefined],
    [holder(), 'acme'],
    [ANONYMOUS, 'acme'],
    [undefined, 'acme'],
  ] as const)
    expect(() => requireAccess(who, { tenant }), `${who?.tenant} ${tenant}`).toThrow(NOT_MINE);
});

test('H33 nobody acts as somebody else', () => {
  const NOT_YOU = expect.objectContaining({ status: 403, details: { field: 'actor' } }) as Error;
  expect(requireAccess(holder('acme'), { tenant: 'acme', actor: 'ana' })).toBeUndefined();
  expect(() => requireAccess(holder('acme'), { tenant: 'acme', actor: 'ben' })).toThrow(NOT_YOU);
  expect(() => requireAccess(undefined, { tenant: undefined, actor: 'ben' })).toThrow(NOT_YOU);
});

test('where nothing is checked, everybody may', () => {
  expect(requireAccess(DISABLED, { tenant: 'acme', actor: 'ben' })).toBeUndefined();
});
