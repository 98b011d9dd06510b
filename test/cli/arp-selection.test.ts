// `reeve serve selection`, from real processes (contract arp §5, §7.2, §7.3).
import { describe, expect } from 'vitest';
import { completion, failure, LlmProvider } from '../doors/arp/llm-provider.ts';
import { CLIENT, Issuer } from '../policy/auth/issuer.ts';
import { ask, type Answer } from '../server/client.ts';
import { test as base, type Home, type Running } from './rig.ts';

const test = base
  .extend('issuer', async ({ home }, { onCleanup }) => {
    void home; // it is cleaned up after us
    const issuer = new Issuer();
    await issuer.start();
    onCleanup(() => issuer.http.stop());
    return issuer;
  })
  .extend('provider', async ({ home }, { onCleanup }) => {
    void home;
    const provider = new LlmProvider();
    const baseUrl = await provider.start();
    onCleanup(() => provider.stop());
    return { baseUrl, says: provider.says.bind(provider), received: provider.received };
  });

interface Served {
  readonly running: Running;
  readonly address: string;
}

type Env = Readonly<Record<string, string>>;

async function serve(home: Home, args: readonly string[], env: Env): Promise<Served> {
  const running = home.start(['serve', ...args, '--port', '0'], { program: 'reeve', env });
  await running.until('the service listens', () => /listening on \S+\n/.test(running.stdout));
  return { running, address: /listening on (\S+)/.exec(running.stdout)?.[1] ?? '' };
}

/** A registry with the built-in types in version 1.0.0. @returns how to find it. */
async function registry(home: Home, env: Env = {}): Promise<Served & { readonly env: Env }> {
  const seeded = { JARVIS_NODE_REGISTRY_SEED: 'true', STACK_VERSION: '1.0.0', ...env };
  const served = await serve(home, ['node-registry'], seeded);
  return { ...served, env: { JARVIS_NODE_REGISTRY_URL: `http://${served.address}/` } };
}

function select({ address }: Served, goal: string, token?: string): Promise<Answer> {
  const body = { subtask_spec: { subtask_id: 'S1', goal } };
  return ask(address, 'POST', '/v1/candidate-sets', { body, ...(token === undefined ? {} : { token }) });
}

describe.concurrent('serve selection', () => {
  test('G40 without a language model: bounded by the environment, and gone with the registry', async ({
    home,
  }) => {
    const types = await registry(home);
    const env = {
      ...types.env,
      JARVIS_SELECTION_STRATEGY: 'deterministic',
      JARVIS_SELECTION_TOP_K_DEFAULT: '1',
    };
    const selection = await serve(home, ['selection'], env);
    expect((await select(selection, 'hash a text')).json).toMatchObject({
      top_k: 1,
      candidates: [{ node_type_ref: { node_type_id: 'jarvis.core.hash.sha256', version: '1.0.0' } }],
      extensions: { 'jarvis.selection.strategy': 'deterministic' },
    });
    expect(await select(selection, 'xyzzy')).toMatchObject({
      status: 422,
      json: { error: { code: 'selection_no_candidates' } },
    });
    expect((await ask(selection.address, 'GET', '/v1/health')).json.status).toBe('ok');
    types.running.kill('SIGKILL');
    await types.running.ended;
    expect(await select(selection, 'hash a text')).toMatchObject({
      status: 502,
      json: { error: { code: 'node_registry_unavailable' } },
    });
  });

  test('the strategy is llm unless said otherwise, and there is none without its variables', async ({
    home,
  }) => {
    const selection = await serve(home, ['selection'], {});
    expect(await select(selection, 'x')).toMatchObject({
      status: 503,
      json: { error: { code: 'selection_llm_missing' } },
    });
  });

  test('dev-mock ranks as its file says, one answer a call', async ({ home }) => {
    const parsed = {
      candidates: [],
      needs_planner: true,
      blocked_reason: null,
      missing_inputs: [],
    };
    await home.write('fixtures.json', JSON.stringify([{ text: 'plan it', parsed }]));
    const env = {
      ...(await registry(home)).env,
      ARP_LLM_PROFILE: 'dev-mock',
      ARP_LLM_DEV_MOCK_FIXTURES_PATH: 'fixtures.json',
    };
    const selection = await serve(home, ['selection'], env);
    const planner = { node_type_id: 'jarvis.composite.planner.general', version: '1.0.0' };
    expect((await select(selection, 'everything')).json.candidates).toEqual([
      { node_type_ref: planner, score: 0.1 },
    ]);
    expect(await select(selection, 'more')).toMatchObject({
      status: 502,
      json: { error: { code: 'selection_llm_invalid_request', retryable: false } },
    });
  });

  test('I9 a provider that is asked gets the key, and nobody else sees it', async ({ home, provider }) => {
    const key = 'k3y-that-nobody-may-see';
    const env = {
      ...(await registry(home)).env,
      ARP_LLM_API_KEY: key,
      ARP_LLM_CHAT_MODEL: 'gpt-x',
      ARP_LLM_BASE_URL: provider.baseUrl,
      ARP_LLM_MAX_RETRIES: '0',
    };
    const selection = await serve(home, ['selection', '--log'], env);
    const named = { node_type_id: 'jarvis.core.echo', version: null, score: 1, rationale: null };
    const good = { candidates: [named], needs_planner: false, blocked_reason: null, missing_inputs: [] };
    provider.says(completion(good), failure(401, `wrong key ${key}`), failure(400, `bad; ${key}`));
    const answers = [
      await select(selection, 'a'),
      await select(selection, 'b'),
      await select(selection, 'c'),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 502, 502]);
    expect(answers.map(({ json }) => json.error?.code)).toEqual([
      undefined,
      'selection_llm_auth',
      'selection_llm_invalid_request',
    ]);
    expect(answers[0]?.json.extensions).toMatchObject({
      'jarvis.llm.provider': 'openai',
      'jarvis.llm.model': 'gpt-x',
    });
    expect(provider.received.map(({ headers }) => headers.authorization)).toEqual(
      Array(3).fill(`Bearer ${key}`),
    );
    const health = await ask(selection.address, 'GET', '/v1/health');
    selection.running.kill('SIGTERM');
    const { stdout, stderr } = await selection.running.ended;
    expect(stderr).toContain('/v1/candidate-sets'); // it did log
    for (const text of [...answers.map((answer) => answer.text), health.text, stdout, stderr])
      expect(text).not.toContain(key);
  });

  test('H30 a registry that wants tokens is asked with one', async ({ home, issuer }) => {
    const common = { ARP_AUTH_ISSUER: issuer.url };
    const types = await registry(home, { ...common, ARP_AUTH_AUDIENCE: 'arp-jarvis-noderegistry' });
    const env = {
      ...common,
      ...types.env,
      ARP_AUTH_SERVICE_ID: 'arp-jarvis-selection',
      JARVIS_SELECTION_STRATEGY: 'deterministic',
    };
    const started = await home.run(['serve', 'selection', '--port', '0', '--json'], {
      program: 'reeve',
      env,
    });
    expect(started).toMatchObject({
      code: 6,
      error: { message: expect.stringContaining('ARP_AUTH_CLIENT_ID is not set') },
    });
    const credentials = { ARP_AUTH_CLIENT_ID: CLIENT.id, ARP_AUTH_CLIENT_SECRET: CLIENT.secret };
    const selection = await serve(home, ['selection'], { ...env, ...credentials });
    expect((await select(selection, 'echo')).status).toBe(401);
    const own = await issuer.sign({ aud: 'arp-jarvis-selection' });
    expect((await select(selection, 'echo', own)).json.candidates[0].node_type_ref.node_type_id).toBe(
      'jarvis.core.echo',
    );
  });

  test.for<[Env, string]>([
    [{ JARVIS_SELECTION_TOP_K_DEFAULT: '0' }, 'JARVIS_SELECTION_TOP_K_DEFAULT'],
    [{ JARVIS_SELECTION_TOP_K_DEFAULT: '1.5' }, 'JARVIS_SELECTION_TOP_K_DEFAULT'],
    [{ JARVIS_NODE_REGISTRY_URL: 'registry:8084' }, 'JARVIS_NODE_REGISTRY_URL'],
    [{ ARP_LLM_PROFILE: 'gpt' }, 'ARP_LLM_PROFILE'],
    [{ ARP_LLM_API_KEY: 'k3y' }, 'ARP_LLM_CHAT_MODEL'],
    [
      { ARP_LLM_PROFILE: 'dev-mock', ARP_LLM_DEV_MOCK_FIXTURES_PATH: 'absent' },
      'ARP_LLM_DEV_MOCK_FIXTURES_PATH',
    ],
  ])('refuses to start with what it cannot read: %j', async ([env, variable], { home }) => {
    const error = await home.fails(['serve', 'selection', '--port', '0'], { program: 'reeve', env });
    expect([error.code, error.details.variable]).toEqual(['E_INVALID_INPUT_SCHEMA', variable]);
    expect(JSON.stringify(error)).not.toContain('k3y');
  });
});
