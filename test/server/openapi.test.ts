import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { jobFailures } from '../../src/doors/jobs/http-failures.ts';
import { jobRoutes } from '../../src/doors/jobs/routes.ts';
import { openApi } from '../../src/server/openapi.ts';
import { routePattern } from '../../src/server/routes.ts';
import { serviceGroup } from '../../src/server/service.ts';
import type { Any } from '../cli/rig.ts';

const failures = jobFailures({ version: '1', strict: false, nowMs: () => 0 });
const jobs = jobRoutes(() => {
  throw new TypeError('describing needs no service');
}, failures);
const about = { failures, title: 'reeve', version: '1' };
const groups = [jobs, serviceGroup({ ...about, groups: [jobs], isReady: async () => true })];
const document: Any = JSON.parse(JSON.stringify(openApi({ ...about, groups })));
const operations: Any[] = Object.entries<Any>(document.paths).flatMap(([path, item]) =>
  Object.entries<Any>(item).map(([method, operation]) => ({ path, method, ...operation })),
);

test('every route is an operation of its own name', () => {
  const routes = groups.flatMap(({ routes: all }) =>
    all.map(({ method, path }) => `${method.toLowerCase()} ${path}`),
  );
  expect(operations.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(routes.toSorted());
  const names = operations.map(({ operationId }) => operationId);
  expect(new Set(names).size).toBe(names.length);
  expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'reeve', version: '1' } });
  const tags = document.tags.map(({ name }: Any) => name);
  for (const operation of operations) expect(tags).toContain(operation.tags[0]);
});

test('parameters in a path are declared, and no others', () => {
  for (const { path, parameters = [] } of operations) {
    const declared = parameters
      .filter((parameter: Any) => parameter.in === 'path')
      .map(({ name }: Any) => name);
    expect(declared).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]: string[]) => name));
  }
});

test('every schema is valid by itself, and every reference leads somewhere', () => {
  const ajv = new Ajv2020({
    strict: true,
    allowUnionTypes: true,
    formats: { 'date-time': true, binary: true },
  });
  ajv.addSchema({ $id: 'https://reeve.test/document', $defs: document.components.schemas });
  let schemas = 0;
  const compile = (schema: Any): void => {
    const absolute = JSON.parse(
      JSON.stringify(schema).replaceAll('"#/components/schemas', '"https://reeve.test/document#/$defs'),
    );
    expect(() => ajv.compile(absolute)).not.toThrow();
    schemas += 1;
  };
  for (const schema of Object.values(document.components.schemas)) compile(schema);
  for (const { parameters = [], requestBody, responses } of operations) {
    for (const { schema } of parameters) compile(schema);
    const bodies = [requestBody, ...Object.values<Any>(responses)].filter((part) => part !== undefined);
    for (const { content } of bodies) for (const { schema } of Object.values<Any>(content)) compile(schema);
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['4XX', '5XX']));
  }
  expect(schemas).toBeGreaterThan(50);
  expect(JSON.stringify(document)).toContain('"$ref":"#/components/schemas/Checkpoint"');
});

test('only health is open', () => {
  const open = operations.filter(({ security }) => security?.length === 0).map(({ path }) => String(path));
  expect(open.toSorted()).toEqual(['/healthz', '/readyz']);
  expect(document.security).toEqual([{ token: [] }]);
});

test('a verb after a colon is not part of the id before it', () => {
  expect(routePattern('/v1/jobs:submit')).toBe('/v1/jobs::submit');
  expect(routePattern('/v1/jobs/{job_id}:status')).toBe('/v1/jobs/:job_id(^[^:]+)::status');
});
