/** What every server answers about itself: whether it lives, whether it can work, and what it offers. */
import { Readable } from 'node:stream';
import type { Failures, Route, RouteGroup } from '../doors/http.ts';
import type { Metrics } from '../telemetry/prometheus.ts';
import { openApi } from './openapi.ts';

export interface ServiceOptions {
  readonly groups: readonly RouteGroup[];
  readonly failures: Failures;
  readonly title: string;
  readonly version: string;
  isReady(): Promise<boolean>;
  checks?(): Promise<readonly Check[]>;
  readonly metrics?: Metrics;
  readonly metricsOpen?: boolean;
}

/** Something that the server depends on, or does. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'degraded' | 'down';
  readonly message?: string;
  readonly details?: unknown;
}

const STANDING = {
  type: 'object',
  additionalProperties: false,
  required: ['status'],
  properties: { status: { type: 'string', enum: ['ok', 'unavailable'] } },
} as const;

const READINESS = {
  type: 'object',
  additionalProperties: false,
  required: ['status'],
  properties: {
    status: { type: 'string', enum: ['ok', 'degraded', 'unavailable'] },
    checks: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'status'],
        properties: {
          name: { type: 'string' },
          status: { type: 'string', enum: ['ok', 'degraded', 'down'] },
          message: { type: 'string' },
          details: true,
        },
      },
    },
  },
} as const;

/** Health tells nothing but itself, so that a balancer can ask without a token. */
export function serviceGroup(options: ServiceOptions): RouteGroup {
  const group: RouteGroup = {
    name: 'service',
    description: 'The server itself.',
    prefix: '/',
    failures: options.failures,
    routes: [
      {
        method: 'GET',
        path: '/healthz',
        operation: 'liveness',
        summary: 'Whether the process answers.',
        open: true,
        responses: { 200: { description: 'It does.', schema: STANDING } },
        handle: async () => ({ json: { status: 'ok' } }),
      },
      {
        method: 'GET',
        path: '/readyz',
        operation: 'readiness',
        summary:
          'Whether work can be done (the store answers, the server is not stopping), and whether it is.',
        open: true,
        responses: {
          200: { description: 'It can; `degraded`: but it does not go on.', schema: READINESS },
          503: { description: 'It cannot, now.', schema: READINESS },
        },
        handle: async ({ signal }) =>
          readiness(
            !signal.aborted && (await options.isReady().catch(() => false)),
            (await options.checks?.()) ?? [],
          ),
      },
      {
        method: 'GET',
        path: '/openapi.json',
        operation: 'openApi',
        summary: 'This document.',
        responses: { 200: { description: 'OpenAPI 3.1', schema: { type: 'object' } } },
        handle: async () => ({ json: document() }),
      },
      ...metricsRoutes(options),
      ...ownDocuments(options),
    ],
  };
  const document = (): object => openApi({ ...options, groups: [...options.groups, group] });
  return group;
}

/** What goes on slowly still goes on: only who cannot work is taken out of a balancer. */
function readiness(isReady: boolean, checks: readonly Check[]) {
  const isDown = !isReady || checks.some(({ status }) => status === 'down');
  const isSlow = checks.some(({ status }) => status === 'degraded');
  const status = isDown ? 'unavailable' : isSlow ? 'degraded' : 'ok';
  return {
    status: isDown ? 503 : 200,
    json: { status, ...(checks.length === 0 ? {} : { checks }) },
  };
}

/** Each mounted service's own document, in the words of the service alone. */
function ownDocuments({ groups, title, version }: ServiceOptions): readonly Route[] {
  return groups.flatMap((group): readonly Route[] => {
    const { mount, name } = group;
    if (mount === undefined) return [];
    return [
      {
        method: 'GET',
        path: `${mount}/openapi.json`,
        operation: `openApiOf${mount.replaceAll(/[/-]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
        summary: `The document of ${name} alone.`,
        responses: { 200: { description: 'OpenAPI 3.1', schema: { type: 'object' } } },
        handle: async () => ({ json: openApi({ groups: [group], title: `${title}: ${name}`, version }) }),
      },
    ];
  });
}

function metricsRoutes({ metrics, metricsOpen }: ServiceOptions): readonly Route[] {
  if (metrics === undefined) return [];
  const { contentType } = metrics;
  return [
    {
      method: 'GET',
      path: '/metrics',
      operation: 'metrics',
      summary: 'What was measured, for Prometheus.',
      ...(metricsOpen === true ? { open: true } : {}),
      responses: { 200: { description: 'Text format 0.0.4', type: 'text/plain' } },
      handle: async () => ({ type: contentType, stream: Readable.from([await metrics.text()]) }),
    },
  ];
}
