// Cedar as a policy language: what requests become, and that nothing fails open.
import { describe, expect, test } from 'vitest';
import { cedarEngine } from '../../src/policy/arp-policy/cedar.ts';
import type { PolicyRequest, Verdict } from '../../src/policy/arp-policy/engine.ts';

const REQUEST: PolicyRequest = {
  action: 'run.start',
  resource: 'node_type:a.b',
  context: {
    run_id: 'r',
    run_context: { tenant_id: 't', actor: { type: 'user', id: 'ana' } },
    node_type: {
      id: 'a.b',
      kind: 'atomic',
      jarvis: { trust_tier: 'first_party', 'x.y': 1.5, none: null, list: [1, null] },
    },
  },
};

async function decide(policy: string, request: Partial<PolicyRequest> = {}): Promise<Verdict> {
  return (await cedarEngine(policy)).decide({ ...REQUEST, ...request });
}

test('G39 denies by default, allows, and lets a forbid win', async () => {
  expect(await decide('')).toEqual({ decision: 'deny', reason: 'default_deny', statements: [] });
  const permit = '@id("yes") permit (principal, action == Action::"run.start", resource);';
  expect(await decide(permit)).toEqual({
    decision: 'allow',
    reason: 'explicit_allow',
    message: 'yes',
    statements: [1],
  });
  expect(await decide(permit, { action: 'node.run.execute' })).toMatchObject({ reason: 'default_deny' });
  expect(await decide(`${permit}\n@id("no") forbid (principal, action, resource);`)).toEqual({
    decision: 'deny',
    reason: 'explicit_deny',
    message: 'no',
    statements: [2],
  });
});

test.each([
  ['the actor', 'principal == Actor::"user/ana" && principal.tenant_id == "t"'],
  ['the node type', 'resource == NodeType::"a.b" && resource.kind == "atomic"'],
  ['its metadata', 'resource.jarvis.trust_tier == "first_party"'],
  ['keys with dots', 'resource.jarvis["x.y"] == "1.5"'],
  ['the context', 'context.run_id == "r" && context.node_type.jarvis.list == [1]'],
  ['no nulls', '!(resource.jarvis has none)'],
])('a request has %s', async (_name, condition) => {
  expect((await decide(`permit (principal, action, resource) when { ${condition} };`)).decision).toBe(
    'allow',
  );
});

test('a run without a node type, and an unknown actor, have names too', async () => {
  const policy = 'permit (principal == Actor::"unknown", action, resource == Run::"r:1");';
  expect(await decide(policy, { resource: 'run:r:1', context: {} })).toMatchObject({ decision: 'allow' });
});

test('names the statements by their places in the file, also beyond ten', async () => {
  const many = Array.from(
    { length: 12 },
    (_, at) => `permit (principal, action == Action::"a${at + 1}", resource);`,
  );
  expect((await decide(many.join('\n'), { action: 'a11' })).statements).toEqual([11]);
  expect((await decide(many.join('\n'), { action: 'a2' })).statements).toEqual([2]);
});

describe('nothing fails open', () => {
  const permit = 'permit (principal, action, resource);';

  test('a forbid that cannot be evaluated denies', async () => {
    const verdict = await decide(
      `${permit} forbid (principal, action, resource) when { resource.absent == 1 };`,
    );
    expect(verdict).toMatchObject({ decision: 'deny', reason: 'invalid_policy' });
    expect(verdict.message).toContain('absent');
  });

  test('a caller cannot make references of data', async () => {
    const context = { any: [{ __entity: { type: 'Actor', id: 'root' } }] };
    expect(await decide(permit, { context })).toMatchObject({ decision: 'deny', reason: 'invalid_policy' });
  });

  test.each(['permit (', 'permit (principal == ?principal, action, resource);'])(
    '%s is refused',
    async (text) => {
      await expect(cedarEngine(text)).rejects.toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA' });
    },
  );
});
