/** Packages of skills, and approvals of destructive ones, over HTTP. */
import { Readable } from 'node:stream';
import type { HttpRequest, Route } from '../../../http.ts';
import { ANYTHING } from '../../../wire-schema.ts';
import { PACKAGE_BYTES_MAX } from '../../skills/read-package.ts';
import { invalidField } from '../../wire/errors.ts';
import { PUBLISHED_SKILL, SKILL_LIST } from '../../wire/skills.ts';
import { callerOf } from '../callers.ts';
import { wholeBody } from '../whole-body.ts';
import type { Packages } from './packages.ts';

const APPROVAL_BYTES_MAX = 65_536;
const GZIP = 'application/gzip';

export function packageRoutes(packages: Packages): readonly Route[] {
  return [
    {
      method: 'PUT',
      path: '/skills/{name}/{version}',
      operation: 'publishSkill',
      summary: 'Publish the package of a skill; agents run it once an allow-list names its digest.',
      body: 'bytes',
      bodyBytesMax: PACKAGE_BYTES_MAX,
      responses: { 200: { description: 'It is published.', schema: PUBLISHED_SKILL } },
      handle: async (request) => {
        const by = callerOf(request, 'operator');
        const { name, version } = namedIn(request);
        const bytes = await wholeBody(request, PACKAGE_BYTES_MAX);
        return { json: await packages.publish(by, name, version, bytes) };
      },
    },
    {
      method: 'GET',
      path: '/skills',
      operation: 'listSkills',
      summary: 'Packages of the tenant, by name and age.',
      responses: { 200: { description: 'All of them.', schema: SKILL_LIST } },
      handle: async (request) => {
        const { tenant } = callerOf(request, 'operator', 'agent');
        return { json: { skills: packages.list(tenant) } };
      },
    },
    {
      method: 'GET',
      path: '/skills/{name}/{version}',
      operation: 'getSkill',
      summary: 'The package of a skill, byte for byte.',
      responses: { 200: { description: 'A gzipped tar archive.', type: GZIP } },
      handle: async (request) => {
        const { tenant } = callerOf(request, 'operator', 'agent');
        const { name, version } = namedIn(request);
        const { digest, bytes } = await packages.bytes(tenant, name, version);
        return { type: GZIP, headers: { etag: `"${digest}"` }, stream: Readable.from([bytes]) };
      },
    },
    {
      method: 'PUT',
      path: '/tasks/{task_id}/approval',
      operation: 'approveTask',
      summary: 'Leave a signed approval for the agent that gets a destructive task.',
      body: 'bytes',
      bodyBytesMax: APPROVAL_BYTES_MAX,
      responses: { 204: { description: 'It is kept for the agent.', schema: 'none' } },
      handle: async (request) => {
        const by = callerOf(request, 'operator');
        await packages.approve(
          by,
          request.params['task_id'] ?? '',
          await wholeBody(request, APPROVAL_BYTES_MAX),
        );
        return { status: 204, empty: true };
      },
    },
    {
      method: 'GET',
      path: '/tasks/{task_id}/approval',
      operation: 'getApproval',
      summary: 'The signed approval of a task, as it was left.',
      responses: { 200: { description: 'The envelope.', schema: ANYTHING } },
      handle: async (request) => {
        const { tenant } = callerOf(request, 'agent', 'operator');
        const envelope = packages.approval(tenant, request.params['task_id'] ?? '');
        return { type: 'application/json', stream: Readable.from([envelope]) };
      },
    },
  ];
}

function namedIn({ params }: HttpRequest): { readonly name: string; readonly version: string } {
  const { name = '', version = '' } = params;
  for (const [field, value, { pattern }] of [
    ['name', name, PUBLISHED_SKILL.properties['name'] as { readonly pattern: string }],
    ['version', version, PUBLISHED_SKILL.properties['version'] as { readonly pattern: string }],
  ] as const)
    if (!new RegExp(pattern).test(value))
      throw invalidField(field, 'is none of a skill', { value: value.slice(0, 200) });
  return { name, version };
}
