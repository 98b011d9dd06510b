/** How an agent becomes known to its control plane, once, and is known again afterwards (contract agents §2.1). */
import { randomUUID } from 'node:crypto';
import { hostname, platform, release } from 'node:os';
import { ReeveError } from '../../../model/errors.ts';
import { callControl, ControlRefusal, type ControlAddress } from '../client/control-client.ts';
import type { RegisterReply } from '../wire/agents.ts';
import type { AgentSettings } from './settings.ts';
import type { StateDir } from './state-dir.ts';

const TOKEN_FILE = 'agent-token';
/** The key of a registration whose answer is not here yet: asked again, it is answered again, with the same token. */
const KEY_FILE = 'registration-key';

export interface Registered {
  readonly address: ControlAddress;
  /** Undefined where the control plane asks for none. */
  readonly token: string | undefined;
  readonly reply: Partial<RegisterReply>;
}

/**
 * @throws ControlRefusal, ReeveError E_SERVICE_UNAVAILABLE; E_UNSAFE_OPERATION: somebody else has this agent's id.
 */
export async function register(
  settings: AgentSettings,
  state: StateDir,
  signal: AbortSignal,
): Promise<Registered> {
  const known = settings.agentToken ?? (await state.read(TOKEN_FILE))?.trim();
  const token = known ?? settings.enrolToken;
  const { control, agentId, tenant, labels, maxParallel, version } = settings;
  const key = known === undefined ? await registrationKey(state) : randomUUID();
  const { json } = await callControl(
    { ...control, ...(token === undefined ? {} : { token }) },
    {
      method: 'POST',
      path: '/register',
      key,
      signal,
      json: {
        agent_id: agentId,
        tenant,
        hostname: hostname(),
        agent_version: version,
        os: `${platform()} ${release()}`,
        labels,
        max_parallel: maxParallel,
      },
    },
  ).catch((error: unknown) => {
    throw known === undefined && isTaken(error) ? taken(agentId, state, error) : error;
  });
  const reply = (json ?? {}) as Partial<RegisterReply>;
  const issued = reply.agent_token ?? known;
  if (reply.agent_token !== undefined) {
    await state.write(TOKEN_FILE, `${reply.agent_token}\n`);
    await state.write(KEY_FILE, '');
  }
  return {
    address: { ...control, ...(issued === undefined ? {} : { token: issued }) },
    token: issued,
    reply,
  };
}

async function registrationKey(state: StateDir): Promise<string> {
  const kept = (await state.read(KEY_FILE))?.trim() ?? '';
  if (kept !== '') return kept;
  const key = randomUUID();
  await state.write(KEY_FILE, `${key}\n`);
  return key;
}

function isTaken(error: unknown): boolean {
  return error instanceof ControlRefusal && error.status === 409;
}

function taken(agentId: string, { root }: StateDir, cause: unknown): ReeveError {
  return new ReeveError(
    'E_UNSAFE_OPERATION',
    `the control plane knows an agent ${agentId} already, and ${root} does not hold its token; give this one another id, or have an operator delete that one`,
    { agent_id: agentId, path: root },
    { cause },
  );
}
