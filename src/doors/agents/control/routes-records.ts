/** Allow-lists, the audit chain and settings over HTTP (contract agents §2, §5, §8). */
import { Readable } from 'node:stream';
import { ANYTHING, COUNT, object, TEXT } from '../../wire-schema.ts';
import type { Route } from '../../http.ts';
import { ALLOW_LIST_BYTES_MAX } from '../../../policy/allow-list/schema.ts';
import { AUDIT_LIST } from '../wire/audit.ts';
import { LIMIT_DEFAULT, LIMIT_MAX } from '../wire/common.ts';
import { AgentsFailure } from '../wire/errors.ts';
import { TENANT_SETTINGS, type TenantSettings } from '../wire/settings.ts';
import type { AllowLists } from './allow-lists.ts';
import type { AuditLog } from './audit.ts';
import { callerOf } from './callers.ts';
import type { Ledger } from './ports.ts';
import type { Settings } from './settings.ts';
import { wholeBody } from './whole-body.ts';

const NDJSON = 'application/x-ndjson';

export interface RecordRoutesOptions {
  readonly allowLists: AllowLists;
  readonly audit: AuditLog;
  readonly settings: Settings;
  readonly ledger: Ledger;
  /** @throws AgentsFailure 422 for patterns that cannot be taken */
  check(settings: TenantSettings): void;
}

export function recordRoutes(options: RecordRoutesOptions): readonly Route[] {
  return [...allowListRoutes(options), auditRoute(options), ...settingsRoutes(options)];
}

function allowListRoutes({ allowLists }: RecordRoutesOptions): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/allowlist',
      operation: 'getAllowList',
      summary: 'The signed allow-list of the tenant, byte for byte as it was published.',
      responses: {
        200: { description: 'The list', schema: ANYTHING },
        304: { description: 'The list is the one that `If-None-Match` names', schema: 'none' },
      },
      async handle(request) {
        const { tenant } = callerOf(request, 'agent', 'operator');
        const list = allowLists.current(tenant);
        if (list === undefined)
          throw new AgentsFailure(404, 'not_found', 'no allow-list was published for this tenant');
        const headers = { etag: list.etag };
        if (names(request.headers['if-none-match'], list.etag)) return { status: 304, headers, empty: true };
        return { headers, type: 'application/json', stream: Readable.from([list.bytes]) };
      },
    },
    {
      method: 'PUT',
      path: '/allowlist',
      operation: 'publishAllowList',
      summary: 'Publishes a signed allow-list, with a serial above the last one.',
      body: 'bytes',
      bodyBytesMax: ALLOW_LIST_BYTES_MAX,
      responses: {
        200: { description: 'Published', schema: object({ allowlist_serial: COUNT, etag: TEXT }, {}) },
      },
      async handle(request) {
        const by = callerOf(request, 'operator');
        const bytes = await wholeBody(request, ALLOW_LIST_BYTES_MAX);
        const { serial, etag } = await allowLists.publish(by, bytes);
        return { headers: { etag }, json: { allowlist_serial: serial, etag } };
      },
    },
  ];
}

function auditRoute({ audit }: RecordRoutesOptions): Route {
  return {
    method: 'GET',
    path: '/audit',
    operation: 'readAudit',
    summary: `The audit chain of the tenant; as JSON lines for \`Accept: ${NDJSON}\`.`,
    query: {
      after: { description: 'Only entries with a higher number', schema: { type: 'integer', minimum: 0 } },
      limit: {
        description: `How many, 1..${LIMIT_MAX} (default ${LIMIT_DEFAULT}; as lines: all)`,
        schema: { type: 'integer', minimum: 1, maximum: LIMIT_MAX },
      },
    },
    responses: { 200: { description: 'Entries, in order', schema: AUDIT_LIST } },
    async handle(request) {
      const { tenant } = callerOf(request, 'operator');
      const after = (request.query['after'] as number | undefined) ?? 0;
      const limit = request.query['limit'] as number | undefined;
      const head = audit.head(tenant);
      if (String(request.headers['accept'] ?? '').includes(NDJSON)) {
        const headers = { 'x-audit-head': `${head.seq} ${head.hash}` };
        return {
          type: NDJSON,
          headers,
          stream: Readable.from(linesOf(audit, { tenant, after, limit, to: head.seq })),
        };
      }
      const lines = audit.lines(tenant, after, limit ?? LIMIT_DEFAULT);
      const last = after + lines.length;
      const next = last < head.seq ? { next_after: last } : {};
      return { json: { entries: lines.map((line): unknown => JSON.parse(line)), head, ...next } };
    },
  };
}

interface Lines {
  readonly tenant: string;
  readonly after: number;
  readonly limit: number | undefined;
  /** Up to the head at the time of asking: then the export ends as its header says. */
  readonly to: number;
}

async function* linesOf(audit: AuditLog, { tenant, after, limit, to }: Lines): AsyncGenerator<string> {
  const end = Math.min(to, after + (limit ?? to));
  for (let at = after; at < end; ) {
    const lines = audit.lines(tenant, at, Math.min(LIMIT_MAX, end - at));
    if (lines.length === 0) return;
    at += lines.length;
    yield `${lines.join('\n')}\n`;
  }
}

function settingsRoutes({ settings, ledger, audit, check }: RecordRoutesOptions): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/settings',
      operation: 'getSettings',
      summary: 'What else is secret for this tenant, and how long its files are kept.',
      responses: { 200: { description: 'Settings', schema: TENANT_SETTINGS } },
      async handle(request) {
        const { tenant } = callerOf(request, 'operator');
        return { json: { ...settings.get(tenant), retention: settings.retention(tenant) } };
      },
    },
    {
      method: 'PUT',
      path: '/settings',
      operation: 'putSettings',
      summary: 'Replaces the settings of the tenant.',
      body: { schema: TENANT_SETTINGS, required: true },
      responses: { 200: { description: 'Settings', schema: TENANT_SETTINGS } },
      async handle(request) {
        const by = callerOf(request, 'operator');
        const asked = request.body as TenantSettings;
        check(asked);
        await ledger.write(() => {
          settings.put(by.tenant, asked);
          audit.append({
            ...by,
            action: 'settings.put',
            object: 'settings',
            before: told(settings.get(by.tenant)),
            after: told(asked),
          });
        });
        settings.use(by.tenant, asked);
        return { json: { ...asked, retention: settings.retention(by.tenant) } };
      },
    },
  ];
}

/** Exceptions are values that look like secrets: only how many there are is on record. */
function told({ redaction, retention }: TenantSettings) {
  return {
    ...(retention === undefined ? {} : { retention }),
    patterns: redaction?.patterns ?? [],
    exceptions: redaction?.exceptions?.length ?? 0,
  };
}

function names(header: string | readonly string[] | undefined, etag: string): boolean {
  const given = String(header ?? '').split(',');
  return given.some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag);
}
