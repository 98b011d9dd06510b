// The policy decision point on a real socket (contract arp §6, G39).
import { readFile, rm, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { PdpOptions } from '../../../src/doors/arp/pdp/pdp.ts';
import { registryClient } from '../../../src/doors/arp/clients/registry-client.ts';
import { builtinTypes } from '../../../src/doors/arp/registry/builtin-types.ts';
import { POLICY_DECISION, type NodeType } from '../../../src/doors/arp/wire/core.ts';
import { fieldErrors } from '../../../src/doors/arp/wire/validate.ts';
import { policyFile } from '../../../src/policy/arp-policy/load.ts';
import { hasNull, test, type Stack } from './support.ts';

const ref = (node_type_id: string, version = '0.3.8') => ({ node_type_id, version });
const START = { action: 'run.start', run_id: 'run_1' };

async function decide(stack: Stack, options: PdpOptions, request: object) {
  const pdp = await stack.pdp(options);
  const answer = await pdp.send('POST', '/v1/policy:decide', request);
  expect(answer.status).toBe(200);
  expect(await fieldErrors(POLICY_DECISION, answer.json)).toEqual([]);
  expect(hasNull(answer.json)).toBe(false);
  return answer.json;
}

async function written(stack: Stack, policy: unknown, name = 'policy.json') {
  await writeFile(stack.path(name), typeof policy === 'string' ? policy : JSON.stringify(policy));
  return policyFile(stack.path(name));
}

const allowing = (more: object = {}) => ({
  Statement: { Sid: 'ok', Effect: 'Allow', Action: '*', Resource: '*', ...more },
});

test.for<[PdpOptions, string, string]>([
  [{ profile: 'dev-allow' }, 'allow', 'dev_allow'],
  [{ profile: 'dev-allow', mode: 'file' }, 'allow', 'dev_allow'],
  [{ profile: 'prod', mode: 'allow_all' }, 'deny', 'invalid_policy_profile'],
  [{ mode: 'allow_all' }, 'allow', 'allow_all'],
  [{ mode: 'file' }, 'deny', 'missing_policy_path'],
  [{ mode: 'other' }, 'deny', 'policy_unconfigured'],
  [{}, 'deny', 'policy_unconfigured'],
])('G39 without a policy, %j: %s %s', async ([options, decision, reason], { stack }) => {
  expect(await decide(stack, options, START)).toMatchObject({ decision, reason_code: reason });
});

test('G39 a policy decides, and tells its hash and version', async ({ stack }) => {
  const policy = await written(stack, { Version: '7', ...allowing({ Resource: 'run:run_1' }) });
  const decision = await decide(stack, { policy }, START);
  expect(decision).toEqual({
    decision: 'allow',
    reason_code: 'explicit_allow',
    message: 'ok',
    extensions: {
      'jarvis.policy_hash': expect.stringMatching(/^[0-9a-f]{64}$/),
      'jarvis.policy_version': '7',
    },
  });
  expect(await decide(stack, { policy }, { action: 'x' })).toMatchObject({ reason_code: 'default_deny' }); // run:*
});

test('G39 the file is read for every decision; a bad or absent one denies', async ({ stack }) => {
  const policy = await written(stack, allowing());
  const pdp = await stack.pdp({ policy });
  const reason = async (): Promise<string> =>
    (await pdp.send('POST', '/v1/policy:decide', START)).json.reason_code;
  expect(await reason()).toBe('explicit_allow');
  await writeFile(stack.path('policy.json'), JSON.stringify(allowing({ Effect: 'Deny' })));
  expect(await reason()).toBe('explicit_deny');
  for (const bad of ['{', '{"Statement":[{}]}', Buffer.from([0x22, 0xff, 0x22])]) {
    await writeFile(stack.path('policy.json'), bad);
    expect(await reason()).toBe('invalid_policy');
  }
  await rm(stack.path('policy.json'));
  expect(await reason()).toBe('invalid_policy');
});

test('G39 conditions see what the registry says of the node type', async ({ stack }) => {
  const registry = stack.registry();
  const { url } = await registry;
  registry.registry.seed(builtinTypes('0.3.8'));
  const policy = await written(stack, await readFile('examples/arp-policy/policy.json', 'utf8'));
  const nodeTypes = registryClient({ baseUrl: url });
  const ask = (node_type_ref: object) => decide(stack, { policy, nodeTypes }, { ...START, node_type_ref });
  expect(await ask(ref('jarvis.core.echo'))).toMatchObject({
    decision: 'allow',
    message: 'AllowFirstPartyAtomics',
  });
  expect(await ask(ref('jarvis.composite.planner.general'))).toMatchObject({ message: 'AllowComposites' });
  await registry.registry.publish({ node_type_id: 'third', version: '1', kind: 'atomic' });
  expect(await ask(ref('third', '1'))).toMatchObject({ decision: 'deny', reason_code: 'default_deny' });
  expect(await ask(ref('third', '2'))).toMatchObject({
    decision: 'deny',
    reason_code: 'node_type_not_found',
  });
});

test('G39 without a registry, or with one that does not answer, a node type is denied', async ({ stack }) => {
  const policy = await written(stack, allowing());
  const request = { ...START, node_type_ref: ref('a') };
  expect(await decide(stack, { policy }, request)).toMatchObject({
    decision: 'deny',
    reason_code: 'node_registry_unconfigured',
  });
  const gone = registryClient({ baseUrl: 'http://127.0.0.1:1' });
  expect(await decide(stack, { policy, nodeTypes: gone }, request)).toMatchObject({
    reason_code: 'node_registry_unavailable',
  });
  const broken = { get: () => Promise.reject(new TypeError('defect')) };
  expect(await decide(stack, { policy, nodeTypes: broken }, request)).toMatchObject({
    reason_code: 'node_type_metadata_unavailable',
  });
});

const atomic = (extensions: NodeType['extensions']): NodeType => ({
  node_type_id: 'a',
  version: '1',
  kind: 'atomic',
  ...(extensions === undefined ? {} : { extensions }),
});

test('H28 the caller chooses neither the resource nor what is known of the node type', async ({ stack }) => {
  const nodeTypes = { get: async () => atomic({ 'jarvis.trust_tier': 'unknown' }) };
  const policy = await written(stack, {
    Statement: [
      { Effect: 'Allow', Action: '*', Resource: 'node_type:safe' },
      {
        Effect: 'Allow',
        Action: '*',
        Resource: '*',
        Condition: { StringEquals: { 'node_type.jarvis.trust_tier': 'first_party' } },
      },
      { Effect: 'Allow', Action: '*', Resource: '*', Condition: { StringEquals: { run_id: 'mine' } } },
    ],
  });
  const spoofs = [
    { resource: 'node_type:safe' },
    { node_type: { jarvis: { trust_tier: 'first_party' } } },
    { 'node_type.jarvis.trust_tier': 'first_party' },
    { 'node_type.jarvis': { trust_tier: 'first_party' } },
    { run_id: 'mine' },
  ];
  for (const context of spoofs) {
    const request = { ...START, node_type_ref: ref('a', '1'), context };
    expect(await decide(stack, { policy, nodeTypes }, request)).toMatchObject({
      reason_code: 'default_deny',
    });
  }
  const trusting = { policy, nodeTypes, trustClientResource: true };
  const request = { ...START, node_type_ref: ref('a', '1'), context: { resource: 'node_type:safe' } };
  expect(await decide(stack, trusting, request)).toMatchObject({ decision: 'allow' });
});

test('H28 a deny on metadata with dots in its name does not fail open', async ({ stack }) => {
  const policy = await written(stack, {
    Statement: [
      { Effect: 'Allow', Action: '*', Resource: '*' },
      {
        Effect: 'Deny',
        Action: '*',
        Resource: '*',
        Condition: { StringEquals: { 'node_type.jarvis.risk.level': 'high' } },
      },
    ],
  });
  const kinds: NodeType['extensions'][] = [
    { 'jarvis.risk.level': 'high' },
    { 'jarvis.risk': { level: 'high' } },
  ];
  for (const extensions of kinds) {
    const nodeTypes = { get: async () => atomic(extensions) };
    expect(
      await decide(stack, { policy, nodeTypes }, { ...START, node_type_ref: ref('a', '1') }),
    ).toMatchObject({
      reason_code: 'explicit_deny',
    });
  }
});

test('G39 Cedar is the second language behind the same door', async ({ stack }) => {
  const policy = await written(
    stack,
    await readFile('examples/arp-policy/policy.cedar', 'utf8'),
    'policy.cedar',
  );
  const types = builtinTypes('0.3.8');
  const nodeTypes = {
    get: async (id: string) => types.find((type) => type.node_type_id === id) ?? atomic({}),
  };
  const ask = (id: string) => decide(stack, { policy, nodeTypes }, { ...START, node_type_ref: ref(id) });
  expect(await ask('jarvis.core.echo')).toMatchObject({
    decision: 'allow',
    message: 'AllowFirstPartyAtomics',
    extensions: { 'jarvis.policy_hash': expect.stringMatching(/^[0-9a-f]{64}$/) },
  });
  expect(await ask('else')).toMatchObject({ decision: 'deny', reason_code: 'default_deny' });
});

test('both example policies decide alike on any node type', async () => {
  const { statementEngine } = await import('../../../src/policy/arp-policy/evaluate.ts');
  const { cedarEngine } = await import('../../../src/policy/arp-policy/cedar.ts');
  const { policyRequest } = await import('../../../src/doors/arp/pdp/context.ts');
  const statements = statementEngine(await readFile('examples/arp-policy/policy.json', 'utf8'));
  const cedar = await cedarEngine(await readFile('examples/arp-policy/policy.cedar', 'utf8'));
  const types = fc.record({
    kind: fc.constantFrom<NodeType['kind']>('atomic', 'composite'),
    tier: fc.constantFrom('first_party', 'third_party', undefined),
    action: fc.constantFrom('run.start', 'node.run.execute', 'other'),
  });
  fc.assert(
    fc.property(types, ({ kind, tier, action }) => {
      const type = { ...atomic(tier === undefined ? undefined : { 'jarvis.trust_tier': tier }), kind };
      const request = policyRequest({ action, node_type_ref: ref('a', '1') }, type, {
        trustClientResource: false,
      });
      const [one, other] = [statements.decide(request), cedar.decide(request)];
      expect(other).toEqual(one);
    }),
  );
});
