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
  /** As it came; nobody has looked at it. */
  readonly reply: Partial<Record<keyof RegisterReply, unknown>>;
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
  ).catch(async (error: unknown) => {
    // The answer of another registration is waited for, of this agent before its settings were changed.
    if (error instanceof ControlRefusal && error.wireCode === 'idempotency_mismatch')
      await state.write(KEY_FILE, '');
    throw known === undefined && isTaken(error) ? taken(agentId, state, error) : error;
  });
  const reply = (typeof json === 'object' && json !== null ? json : {}) as Partial<Record<string, unknown>>;
  const { agent_token: brought } = reply;
  if (brought !== undefined && !isToken(brought))
    throw new ReeveError('E_SERVICE_UNAVAILABLE', 'the control plane answered with a token that is none');
  const issued = brought ?? known;
  if (brought !== undefined) {
    await state.write(TOKEN_FILE, `${brought}\n`);
    await state.write(KEY_FILE, '');
  }
  return {
    address: { ...control, ...(issued === undefined ? {} : { token: issued }) },
    token: issued,
    reply,
  };
}

/** Something that may stand in a header. */
function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,4096}$/.test(value);
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
