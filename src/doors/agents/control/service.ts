/** The control plane, put together: its database, its parts, and its routes as one group (contract agents §2). */
import type { Engine } from '../../../engine/engine.ts';
import type { PublicKey } from '../../../policy/keys.ts';
import type { Meter } from '../../../telemetry/meter.ts';
import type { Authenticate, Route, RouteGroup } from '../../http.ts';
import { ReeveError } from '../../../model/errors.ts';
import { problemsOf } from '../../validate.ts';
import { LEASE_S, POLL_INTERVAL_S } from '../wire/agents.ts';
import { ERROR_ENVELOPE } from '../wire/common.ts';
import { AgentsFailure, agentsFailure } from '../wire/errors.ts';
import { DEFAULT_TENANT } from '../ids.ts';
import type { TenantSettings } from '../wire/settings.ts';
import { ROLLOUT_STATES, type RolloutState } from '../wire/rollouts.ts';
import { AGENTS_SCHEMA } from './agent-rows.ts';
import { Agents } from './agents.ts';
import { AllowLists, ALLOW_LIST_SCHEMA } from './allow-lists.ts';
import { AuditLog, AUDIT_SCHEMA } from './audit.ts';
import { Board } from './board/board.ts';
import { TASKS_SCHEMA } from './board/task-index.ts';
import { ControlDatabase } from './database.ts';
import { Idempotency, IDEMPOTENCY_SCHEMA } from './idempotency.ts';
import type { AgentDirectory, Audit, Ledger, SettingsOfTenants, TaskBoard } from './ports.ts';
import { checkRedaction, TenantRedaction } from './redaction.ts';
import { agentRoutes } from './routes-agents.ts';
import { directoryRoutes } from './routes-directory.ts';
import { recordRoutes } from './routes-records.ts';
import { taskRoutes } from './routes-tasks.ts';
import { Settings, SETTINGS_SCHEMA } from './settings.ts';
import { authentication, type ConfiguredToken } from './tokens.ts';

/** Largest body where a route says nothing else, bytes. */
const BODY_BYTES_MAX = 1_048_576;

/** What a further part of the control plane (files, rollouts) is given. */
export interface PartContext {
  readonly engine: Engine;
  readonly database: ControlDatabase;
  readonly ledger: Ledger;
  readonly audit: Audit;
  readonly board: TaskBoard;
  readonly agents: AgentDirectory;
  readonly settings: SettingsOfTenants;
  readonly redaction: TenantRedaction;
  readonly meter: Meter | undefined;
}

export interface Part {
  readonly routes: readonly Route[];
  /** Begins what it does by itself. */
  start?(): Promise<void>;
  stop?(): Promise<void>;
  /** Rollouts, by where they stand. */
  rolloutCounts?(): Promise<ReadonlyMap<RolloutState, number>>;
}

/** A part that has tables of its own in the service database. */
export interface PartFactory {
  readonly schema: string;
  open(context: PartContext): Promise<Part> | Part;
}

export interface ControlPlaneOptions {
  readonly engine: Engine;
  /** Path of the service database. */
  readonly file: string;
  readonly tokens: readonly ConfiguredToken[];
  /** The original calls need no token: on loopback only. */
  readonly open: boolean;
  /** Whose signatures make an allow-list. */
  readonly keys: readonly PublicKey[];
  readonly threshold?: number;
  readonly parts?: readonly PartFactory[];
  readonly meter?: Meter | undefined;
  /** Default 10. */
  readonly pollS?: number;
  /** Default 60. */
  readonly leaseS?: number;
  note(text: string): void;
}

export interface ControlPlane {
  readonly group: RouteGroup;
  readonly authenticate: Authenticate;
  /** Before metrics are read. */
  measure(): Promise<void>;
  isReady(): Promise<boolean>;
  /** Nothing is handed out from then on, and polls that wait are answered. */
  stop(): Promise<void>;
  close(): void;
}

/** @throws ReeveError E_STORE_BUSY while another process serves the same store; E_STORE_* */
export async function openControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { file, parts = [] } = options;
  const database = new ControlDatabase(file, [
    AGENTS_SCHEMA,
    TASKS_SCHEMA,
    ALLOW_LIST_SCHEMA,
    AUDIT_SCHEMA,
    SETTINGS_SCHEMA,
    IDEMPOTENCY_SCHEMA,
    ...parts.map(({ schema }) => schema),
  ]);
  try {
    return await assemble(options, database);
  } catch (error) {
    database.close();
    throw error;
  }
}

async function assemble(options: ControlPlaneOptions, database: ControlDatabase): Promise<ControlPlane> {
  const { engine, meter, note, keys, threshold = 1 } = options;
  const { pollS = POLL_INTERVAL_S, leaseS = LEASE_S } = options;
  const nowMs = (): number => engine.clock.nowMs();
  const shared = { rows: database.rows, ledger: database, nowMs };
  const settings = new Settings(database.rows);
  const redaction = new TenantRedaction(settings, meter);
  const audit = new AuditLog({ ...shared, redact: (tenant, value) => redaction.value(tenant, value) });
  const allowLists = new AllowLists({ ...shared, audit, keys, threshold });
  const agents = new Agents({
    ...shared,
    audit,
    redaction,
    pollMs: pollS * 1000,
    running: (tenant, id) => board.heldBy(tenant, id),
  });
  const board: Board = new Board({
    ...shared,
    engine,
    audit,
    allowLists,
    redaction,
    meter,
    leaseMs: leaseS * 1000,
    agentNow: ({ tenant, id }) => agents.find(tenant, id),
    note,
  });
  const context = { engine, database, ledger: database, audit, board, agents, settings, redaction, meter };
  const opened: Part[] = [];
  for (const part of options.parts ?? []) opened.push(await part.open(context));
  await board.open();
  for (const part of opened) await part.start?.();
  const authenticate = authentication({
    configured: options.tokens,
    agentOf: (sha256) => agents.byToken(sha256),
    open: options.open,
  });
  const once = new Idempotency(database.rows, database, nowMs);
  const routes = [
    ...agentRoutes({ agents, board, allowLists, pollS, leaseS }),
    ...directoryRoutes({ agents, board }),
    ...taskRoutes({ board, agents }),
    ...recordRoutes({
      allowLists,
      audit,
      settings,
      ledger: database,
      check: checkPatterns,
    }),
    ...opened.flatMap((part) => part.routes),
  ].map((route) => once.wrap(route));
  return {
    authenticate,
    group: {
      name: 'control-plane',
      description: 'Tasks for polling agents: who runs what, and what came of it.',
      prefix: '/',
      routes,
      failures: {
        schema: ERROR_ENVELOPE,
        answer(error, _, tenant = DEFAULT_TENANT) {
          const { status, body } = agentsFailure(error);
          return { status, body: redaction.value(tenant, body) }; // it may quote what came in
        },
      },
      unknownMethod: 405,
      checkBody,
      bodyBytesMax: BODY_BYTES_MAX,
      authenticate,
    },
    async measure() {
      redaction.measure();
      for (const [status, count] of board.index.counts()) meter?.set('jarvas_tasks', { status }, count);
      for (const [state, count] of Object.entries(agents.counts()))
        meter?.set('jarvas_agents', { state }, count);
      for (const part of opened) {
        const counts = await part.rolloutCounts?.();
        if (counts === undefined) continue;
        for (const state of ROLLOUT_STATES) meter?.set('jarvas_rollouts', { state }, counts.get(state) ?? 0);
      }
    },
    async isReady() {
      database.rows.probe();
      await engine.store.list({ limit: 1 });
      return true;
    },
    async stop() {
      board.stop();
      for (const part of opened.toReversed()) await part.stop?.();
    },
    close: () => database.close(),
  };
}

/** @throws AgentsFailure 422 */
function checkPatterns(settings: TenantSettings): void {
  try {
    checkRedaction(settings);
  } catch (error) {
    if (!(error instanceof ReeveError)) throw error;
    const field = `/redaction${String(error.details?.['field'])}`;
    throw new AgentsFailure(422, 'invalid_field', error.message, { field });
  }
}

/** What fits no schema is 422 here, and only what is no JSON is 400. */
async function checkBody(schema: object, body: unknown): Promise<void> {
  const problems = await problemsOf(schema, body);
  const [first] = problems;
  if (first === undefined) {
    // What is kept is hashed, and half a surrogate pair is no Unicode.
    if (isUnicode(body)) return;
    throw new AgentsFailure(422, 'invalid_field', 'a text in the body is no Unicode', { field: '' });
  }
  throw new AgentsFailure(422, 'invalid_field', `${first.field || 'the body'} ${first.problem}`, {
    field: first.field,
    problems: problems.slice(0, 20),
  });
}

/** Whether every text in a JSON value, and every name, could be sent in UTF-8. */
function isUnicode(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, each]) => name.isWellFormed() && isUnicode(each));
}
