/** Services of ARP on real sockets, for tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base } from 'vitest';
import type { RouteGroup } from '../../../src/doors/http.ts';
import { Artifacts, type ArtifactsOptions } from '../../../src/doors/arp/artifact-store/artifacts.ts';
import { artifactStoreService } from '../../../src/doors/arp/artifact-store/routes.ts';
import { builtinNodes } from '../../../src/doors/arp/atomic/core-nodes.ts';
import { AtomicExecutor, type AtomicExecutorOptions } from '../../../src/doors/arp/atomic/executor.ts';
import type { AtomicNode } from '../../../src/doors/arp/atomic/node.ts';
import { atomicService } from '../../../src/doors/arp/atomic/routes.ts';
import { allowedHosts } from '../../../src/doors/arp/atomic/web/allowed-hosts.ts';
import { FETCH_DEFAULTS } from '../../../src/doors/arp/atomic/web/fetch-node.ts';
import { EventLog } from '../../../src/doors/arp/event-stream/log.ts';
import { eventStreamService } from '../../../src/doors/arp/event-stream/routes.ts';
import type { CompositeExecutor } from '../../../src/doors/arp/composite/executor.ts';
import { compositeService } from '../../../src/doors/arp/composite/routes.ts';
import { decisionPoint, type PdpOptions } from '../../../src/doors/arp/pdp/pdp.ts';
import { pdpService } from '../../../src/doors/arp/pdp/routes.ts';
import { NodeRegistry } from '../../../src/doors/arp/registry/registry.ts';
import { registryService } from '../../../src/doors/arp/registry/routes.ts';
import { RunRecords } from '../../../src/doors/arp/run-store/records.ts';
import { runStoreService } from '../../../src/doors/arp/run-store/routes.ts';
import { selectionRoutes } from '../../../src/doors/arp/selection/routes.ts';
import type { SelectionOptions } from '../../../src/doors/arp/selection/selection.ts';
import { startServer } from '../../../src/server/server.ts';
import { openStore, type OpenStoreOptions, type Store } from '../../../src/store/open-store.ts';
import { ask, type Answer } from '../../server/client.ts';

export const WORLD = { version: '9.9.9', nowMs: () => Date.parse('2026-01-02T03:04:05.678Z') };

export interface Served {
  readonly address: string;
  readonly url: string;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  send(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answer>;
}

interface Closable {
  close(): void;
}

/** What a test opened; all of it is closed after the test. */
export class Stack {
  readonly dir: string;
  readonly #ends: (() => unknown)[] = [];

  constructor(dir: string) {
    this.dir = dir;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  async serve(group: RouteGroup): Promise<Served> {
    const server = await startServer({
      groups: [group],
      failures: group.failures,
      title: group.name,
      version: WORLD.version,
      listen: { host: '127.0.0.1', port: 0 },
      tokens: [],
      names: [],
      bodyBytesMax: 1_048_576,
      isReady: async () => true,
      note: () => undefined,
    });
    this.#ends.push(() => server.stop(0));
    const { address } = server;
    return {
      address,
      url: `http://${address}`,
      get: (path, headers = {}) => ask(address, 'GET', path, { headers }),
      send: (method, path, body, headers = {}) => ask(address, method, path, { body, headers }),
    };
  }

  /** Whatever else has to be ended with the test. */
  atEnd(end: () => unknown): void {
    this.#ends.push(end);
  }

  opened<T extends Closable>(thing: T): T {
    this.#ends.push(() => thing.close());
    return thing;
  }

  async store(name: string, options: OpenStoreOptions = {}): Promise<Store> {
    const store = await openStore(this.path(name), options);
    this.#ends.push(() => store.close());
    return store;
  }

  /** With the built-in nodes and others. */
  async atomic(
    others: readonly AtomicNode[] = [],
    options: Partial<AtomicExecutorOptions> & { readonly allow?: readonly string[] } = {},
  ): Promise<Served & { readonly executor: AtomicExecutor }> {
    const fetchRules = { ...FETCH_DEFAULTS, hosts: allowedHosts(options.allow ?? []) };
    const nodes = [...builtinNodes('1.0.0', { ...WORLD, fetchRules }), ...others];
    const executor = new AtomicExecutor({
      ...WORLD,
      note: () => undefined,
      nodes: new Map(nodes.map((node) => [node.nodeType.node_type_id, node])),
      ...options,
    });
    this.#ends.push(() => executor.stop(0));
    return { ...(await this.serve(atomicService(executor, WORLD))), executor };
  }
  registry(): Promise<Served> & { readonly registry: NodeRegistry } {
    const registry = this.opened(new NodeRegistry(':memory:'));
    return Object.assign(this.serve(registryService(registry, WORLD)), { registry });
  }
  selection(options: Omit<SelectionOptions, 'nowMs'>): Promise<Served> {
    return this.serve(selectionRoutes({ ...options, ...WORLD }));
  }
  pdp(options: PdpOptions): Promise<Served> {
    return this.serve(pdpService(decisionPoint(options), WORLD));
  }
  composite(executor: CompositeExecutor): Promise<Served> {
    this.#ends.push(() => executor.stop());
    return this.serve(compositeService(executor, WORLD));
  }
  runStore(bytesMax?: number): Promise<Served> {
    const records = new RunRecords({ file: ':memory:', ...(bytesMax === undefined ? {} : { bytesMax }) });
    return this.serve(runStoreService(this.opened(records), WORLD));
  }
  eventStream(heartbeatMs?: number): Promise<Served> & { readonly log: EventLog } {
    const log = this.opened(new EventLog(':memory:'));
    const options = { ...WORLD, ...(heartbeatMs === undefined ? {} : { heartbeatMs }) };
    return Object.assign(this.serve(eventStreamService(log, options)), { log });
  }
  artifacts(options: Partial<ArtifactsOptions> = {}): Promise<Served> & { readonly artifacts: Artifacts } {
    const artifacts = this.opened(new Artifacts({ dir: this.path('artifacts'), ...options }));
    return Object.assign(this.serve(artifactStoreService(artifacts, WORLD)), { artifacts });
  }

  async close(): Promise<void> {
    for (const end of this.#ends.toReversed()) await end();
    await rm(this.dir, { recursive: true, force: true });
  }
}

export const test = base.extend<{ stack: Stack }>({
  // eslint-disable-next-line no-empty-pattern -- the first parameter must be a pattern
  stack: async ({}, use) => {
    const stack = new Stack(await mkdtemp(join(tmpdir(), 'reeve-arp-')));
    await use(stack);
    await stack.close();
  },
});

/** Whether a null stands anywhere; free objects of these tests hold none. */
export function hasNull(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return value === null;
  return Object.values(value).some(hasNull);
}
