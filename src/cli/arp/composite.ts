/** Opens the Composite Executor by what the environment says (contract arp §5). */
import { setTimeout as delay } from 'node:timers/promises';
import { ReeveError } from '../../model/errors.ts';
import { escapeControls } from '../../model/visible-text.ts';
import { clientSettings } from '../../policy/auth/client-settings.ts';
import type { AuthSettings } from '../../policy/auth/settings.ts';
import { TokenSource } from '../../policy/auth/token-source.ts';
import { refusal } from '../../policy/auth/variables.ts';
import { redactText } from '../../policy/redaction/redactor.ts';
import type { ServiceAddress } from '../../doors/arp/clients/http-client.ts';
import { registryClient } from '../../doors/arp/clients/registry-client.ts';
import { selectionClient } from '../../doors/arp/clients/selection-client.ts';
import { callbacksTo } from '../../doors/arp/composite/callbacks.ts';
import { CompositeExecutor } from '../../doors/arp/composite/executor.ts';
import { compositeService } from '../../doors/arp/composite/routes.ts';
import { compositeSettings, type CompositeSettings } from '../../doors/arp/composite/settings.ts';
import { deterministicStrategy, type Strategy } from '../../doors/arp/composite/strategy.ts';
import type { Llm } from '../../doors/arp/llm/llm.ts';
import { llmSettings, openLlm, type LlmSettings } from '../../doors/arp/llm/settings.ts';
import type { CliContext } from '../command.ts';
import { setting } from '../environment.ts';
import { serviceToken } from './service-token.ts';
import { urlIn, urlOf, URL_VARIABLES, type OpenService, type World } from './settings.ts';

const STRATEGY = 'JARVIS_COMPOSITE_STRATEGY';
const COORDINATOR = 'JARVIS_RUN_COORDINATOR';
/** As the realm of the stack calls the coordinator (contract arp §5). */
const COORDINATOR_AUDIENCE = 'arp-run-coordinator';

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: what is missing, or cannot be read */
export async function openCompositeExecutor(
  ctx: CliContext,
  world: World,
  auth: AuthSettings | undefined,
): Promise<OpenService> {
  const note = (text: string): void => void ctx.stderr.write(`${escapeControls(redactText(text))}\n`);
  const settings = compositeSettings(ctx.env);
  const selection = required(ctx, 'selection');
  const registry = required(ctx, 'node-registry');
  const strategy = await strategyOf(ctx, settings, (model) => openLlm(model, ctx.cwd));
  if (strategy === undefined)
    note(`${STRATEGY} is llm, and no ARP_LLM_… is set: every begin is refused with composite_llm_missing`);
  const tokens =
    auth === undefined ? undefined : new TokenSource(clientSettings(ctx.env, auth, true), world.nowMs);
  const issuedFor = (variable: string, otherwise?: string): ServiceAddress['token'] => {
    const audience = setting(ctx, `${variable}_AUDIENCE`) ?? otherwise;
    if (tokens === undefined) return undefined;
    return () => tokens.own(audience === undefined ? {} : { audience });
  };
  const ownToken = issuedFor(COORDINATOR, COORDINATOR_AUDIENCE);
  const coordinator = urlIn(ctx, [`${COORDINATOR}_URL`]);
  const callbacks = {
    ...(ownToken === undefined ? {} : { token: ownToken }),
    ...(coordinator === undefined ? {} : { coordinatorUrl: coordinator.baseUrl }),
  };
  const selectionToken = await serviceToken(ctx, issuedFor('JARVIS_SELECTION'));
  const registryToken = await serviceToken(ctx, issuedFor('JARVIS_NODE_REGISTRY'));
  const executor = new CompositeExecutor({
    selection: selectionClient({ baseUrl: selection, ...selectionToken }),
    nodeTypes: registryClient({ baseUrl: registry, ...registryToken }),
    strategy,
    settings,
    clock: { nowMs: world.nowMs, pause: (ms, signal) => delay(ms, undefined, { signal }) },
    coordinator: (endpoint, token) => callbacksTo(endpoint, token, callbacks),
    note,
  });
  return {
    group: compositeService(executor, world),
    isReady: async () => true,
    close: () => executor.stop(), // what is in progress is left to whoever is asked next
  };
}

function required(ctx: CliContext, service: 'selection' | 'node-registry'): string {
  const found = urlOf(ctx, service);
  if (found !== undefined) return found.baseUrl;
  const [variable, fallback] = URL_VARIABLES[service];
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${variable} is not set, nor is ${fallback}: the composite executor needs one of them`,
    { variable },
  );
}

/** A model where one is configured; the fixed rules need none. @returns undefined: it is asked for, and there is none */
export async function strategyOf(
  ctx: CliContext,
  settings: CompositeSettings,
  open: (model: LlmSettings) => Promise<Llm> | Llm,
): Promise<Strategy | undefined> {
  const model = llmSettings(ctx.env);
  const name = setting(ctx, STRATEGY) ?? (model === undefined ? 'deterministic' : 'llm');
  if (name === 'deterministic') return deterministicStrategy;
  if (name !== 'llm') throw refusal(STRATEGY, name.slice(0, 100), 'deterministic or llm');
  if (model === undefined) return undefined;
  const { llmStrategy } = await import('../../doors/arp/composite/llm-strategy.ts');
  return llmStrategy(await open(model), settings.argumentRetries);
}
