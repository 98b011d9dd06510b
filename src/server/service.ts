/** What every server answers about itself: whether it lives, whether it can work, and what it offers. */
import type { Failures, RouteGroup } from '../doors/http.ts';
import { openApi } from './openapi.ts';

export interface ServiceOptions {
  readonly groups: readonly RouteGroup[];
  readonly failures: Failures;
  readonly title: string;
  readonly version: string;
  isReady(): Promise<boolean>;
}

const STANDING = {
  type: 'object',
  additionalProperties: false,
  required: ['status'],
  properties: { status: { type: 'string', enum: ['ok', 'unavailable'] } },
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
        operation: 'health',
        summary: 'Whether the process answers.',
        open: true,
        responses: { 200: { description: 'It does.', schema: STANDING } },
        handle: async () => ({ json: { status: 'ok' } }),
      },
      {
        method: 'GET',
        path: '/readyz',
        operation: 'readiness',
        summary: 'Whether work can be done: the store answers, and the server is not stopping.',
        open: true,
        responses: {
          200: { description: 'It can.', schema: STANDING },
          503: { description: 'It cannot, now.', schema: STANDING },
        },
        handle: async ({ signal }) =>
          !signal.aborted && (await options.isReady().catch(() => false))
            ? { json: { status: 'ok' } }
            : { status: 503, json: { status: 'unavailable' } },
      },
      {
        method: 'GET',
        path: '/openapi.json',
        operation: 'openApi',
        summary: 'This document.',
        responses: { 200: { description: 'OpenAPI 3.1', schema: { type: 'object' } } },
        handle: async () => ({ json: document() }),
      },
    ],
  };
  const document = (): object => openApi({ ...options, groups: [...options.groups, group] });
  return group;
}
