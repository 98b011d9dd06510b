/** Several services on one port: each below a path of its own, with a document of its own. */
import type { Route, RouteGroup } from '../doors/http.ts';

/**
 * The group below `path`: `/v1/health` becomes `<path>/v1/health`. Operations get the group's name in front, so that one
 * document can hold all services.
 * @param path such as `/node-registry`
 * @throws TypeError for another one: that is a defect of whoever assembles
 */
export function mounted(group: RouteGroup, path: string): RouteGroup {
  if (!/^(\/[a-z0-9-]+)+$/.test(path)) throw new TypeError(`${path} is no path to mount a service at`);
  return {
    ...group,
    mount: path,
    prefix: group.prefix === '/' ? path : `${path}${group.prefix}`,
    routes: group.routes.map(
      (route): Route => ({
        ...route,
        path: `${path}${route.path}`,
        operation: operationIn(group.name, route.operation),
      }),
    ),
  };
}

/** @throws TypeError where two groups would answer the same: that is a defect of whoever assembles. */
export function refuseOverlap(groups: readonly RouteGroup[]): void {
  const taken = new Map<string, string>();
  for (const { name, routes } of groups) {
    for (const { method, path } of routes) {
      // Parameters have no names for a router.
      const place = `${method} ${path.replaceAll(/\{\w+\*?\}/g, '{}')}`;
      const other = taken.get(place);
      if (other !== undefined)
        throw new TypeError(`${other} and ${name} both serve ${place}; mount one below a path of its own`);
      taken.set(place, name);
    }
  }
}

/** `node-registry` and `getNodeType` make `nodeRegistryGetNodeType`. */
function operationIn(group: string, operation: string): string {
  const front = group.replaceAll(/[^A-Za-z0-9]+([A-Za-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return `${front}${operation.charAt(0).toUpperCase()}${operation.slice(1)}`;
}
