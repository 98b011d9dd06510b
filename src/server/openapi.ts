/** OpenAPI 3.1 of route groups, made of the very schemas that check requests. */
import type { Route, RouteGroup } from '../doors/http.ts';

export interface Described {
  readonly groups: readonly RouteGroup[];
  readonly title: string;
  readonly version: string;
}

export function openApi({ groups, title, version }: Described): object {
  const names = schemaNames(groups);
  const paths: Record<string, Record<string, object>> = {};
  for (const group of groups) {
    for (const route of group.routes) {
      const path = route.path.replace('*}', '}');
      paths[path] = {
        ...paths[path],
        [route.method.toLowerCase()]: operation(group, route, names),
      };
    }
  }
  return {
    openapi: '3.1.0',
    info: { title, version },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    tags: groups.map(({ name, description }) => ({ name, description })),
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: Object.fromEntries([...names].map(([schema, name]) => [name, inside(schema, names)])),
    },
  };
}

type Names = ReadonlyMap<unknown, string>;

/** Two groups may mean different things by one name: the second then has its group's in front. */
function schemaNames(groups: readonly RouteGroup[]): Names {
  const names = new Map<unknown, string>();
  const taken = new Set<string>();
  for (const group of groups) {
    for (const [name, schema] of Object.entries(group.schemas ?? {})) {
      if (names.has(schema)) continue;
      const unique = taken.has(name) ? `${group.name}.${name}` : name;
      taken.add(unique);
      names.set(schema, unique);
    }
  }
  return names;
}

function operation(group: RouteGroup, route: Route, names: Names): object {
  const inPath = [...route.path.matchAll(/\{(\w+)\*?\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const inQuery = Object.entries(route.query ?? {}).map(([name, { description, schema }]) => ({
    name,
    in: 'query',
    required: false,
    description,
    schema,
  }));
  const parameters = [...inPath, ...inQuery];
  const failure = {
    description: 'It failed; the body says why.',
    content: { 'application/json': { schema: named(group.failures.schema, names) } },
  };
  const responses = Object.entries(route.responses).map(([status, { description, type, schema }]) => [
    status,
    {
      description,
      ...(schema === 'none' ? {} : { content: contentOf(schema, names, type) }),
    },
  ]);
  return {
    operationId: route.operation,
    summary: route.summary,
    tags: [group.name],
    ...(route.open === true ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined
      ? {}
      : {
          requestBody:
            route.body === 'bytes'
              ? { required: false, content: contentOf(undefined, names, '*/*') }
              : { required: route.body.required, content: contentOf(route.body.schema, names) },
        }),
    responses: { ...Object.fromEntries(responses), '4XX': failure, '5XX': failure },
  };
}

function contentOf(schema: object | undefined, names: Names, type = 'application/json'): object {
  return {
    [type]: { schema: schema === undefined ? { type: 'string', format: 'binary' } : named(schema, names) },
  };
}

/** The schema, or a reference to it when it has a name. */
function named(schema: unknown, names: Names): unknown {
  const name = names.get(schema);
  return name === undefined ? inside(schema, names) : { $ref: `#/components/schemas/${name}` };
}

function inside(schema: unknown, names: Names): unknown {
  if (Array.isArray(schema)) return schema.map((item) => named(item, names));
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, named(value, names)]));
}
