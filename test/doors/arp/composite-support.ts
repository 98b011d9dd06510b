/** What a composite executor needs around it, small and in memory: a coordinator, a selection, a clock that runs by itself. */
import { setImmediate } from 'node:timers/promises';
import { CompositeExecutor, type CompositeParts } from '../../../src/doors/arp/composite/executor.ts';
import { compositeSettings } from '../../../src/doors/arp/composite/settings.ts';
import { deterministicStrategy } from '../../../src/doors/arp/composite/strategy.ts';
import type { CompositeCallbacks, Selection } from '../../../src/doors/arp/ports.ts';
import { builtinTypes, STACK_VERSION } from '../../../src/doors/arp/registry/builtin-types.ts';
import type { NodeType } from '../../../src/doors/arp/wire/core.ts';
import { ArpError } from '../../../src/doors/arp/wire/errors.ts';
import { childNodeRunId } from '../../../src/doors/arp/wire/ids.ts';
import type {
  CandidateSetRequest,
  InternalCompositeBeginRequest,
  NodeRunCompleteRequest,
  NodeRunEvaluationRequest,
  NodeRunsCreateRequest,
} from '../../../src/doors/arp/wire/requests.ts';
import type { InternalNodeRun } from '../../../src/doors/arp/wire/runs.ts';

export type Fields = Readonly<Record<string, unknown>>;
type Spec = NodeRunsCreateRequest['node_runs'][number];
export type End = Pick<NodeRunCompleteRequest, 'state' | 'outputs' | 'error'>;

/** Runs a child at once; undefined: it stays running until somebody completes it. */
export type Runs = (node: InternalNodeRun) => End | undefined | Promise<End | undefined>;

const isOver = ({ state }: InternalNodeRun): boolean => !['queued', 'assigned', 'running'].includes(state);

export class MemoryCoordinator implements CompositeCallbacks {
  readonly nodes = new Map<string, InternalNodeRun>();
  readonly specs: Spec[] = [];
  readonly evaluations: NodeRunEvaluationRequest[] = [];
  readonly completions: (NodeRunCompleteRequest & { readonly id: string })[] = [];
  /** Thrown instead of an answer, once each. */
  readonly failures: { readonly verb: string; readonly error: Error }[] = [];
  waitTerminal?: NonNullable<CompositeCallbacks['waitTerminal']>;
  looks = 0;
  readonly #runs: Runs;
  readonly #changed = new Set<() => void>();

  constructor(runs: Runs, { wakes = false } = {}) {
    this.#runs = runs;
    this.put({ node_run_id: 'root', run_id: 'run_1', node_type_ref: ref(PLANNER), state: 'running' });
    if (wakes) this.waitTerminal = (id, signal) => this.until(() => this.#over(id), signal);
  }

  put(node: InternalNodeRun): void {
    this.nodes.set(node.node_run_id, node);
    for (const look of this.#changed) look();
  }

  /** Once `look` gives something, looked at whenever a NodeRun changes. */
  until<T>(look: () => T | undefined, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject): void => {
      const done = (): void => void this.#changed.delete(again);
      const again = (): void => {
        const found = look();
        if (found === undefined) return;
        done();
        resolve(found);
      };
      if (signal?.aborted === true) return reject(signal.reason as Error);
      signal?.addEventListener('abort', () => {
        done();
        reject(signal.reason as Error);
      });
      this.#changed.add(again);
      again();
    });
  }

  async create(request: NodeRunsCreateRequest): Promise<readonly InternalNodeRun[]> {
    this.#failing('create');
    return Promise.all(request.node_runs.map((spec) => this.#create(request, spec)));
  }

  async nodeRun(id: string): Promise<InternalNodeRun> {
    this.looks += 1;
    for (const look of this.#changed) look();
    this.#failing('nodeRun');
    return this.#node(id);
  }

  async evaluate(id: string, report: NodeRunEvaluationRequest): Promise<void> {
    this.#failing('evaluate');
    this.#node(id);
    this.evaluations.push(report);
  }

  async complete(id: string, report: NodeRunCompleteRequest): Promise<void> {
    this.#failing('complete');
    this.#end(id, report);
  }

  #end(id: string, report: NodeRunCompleteRequest): void {
    const node = this.#node(id);
    if (isOver(node)) {
      if (node.state === report.state) return;
      throw new ArpError(409, 'node_run_already_terminal', `${id} ended ${node.state}`);
    }
    this.completions.push({ ...report, id });
    const { error, ...rest } = report;
    const extensions = { ...node.extensions, ...(error === undefined ? {} : { completion_error: error }) };
    this.put({ ...node, ...rest, extensions });
  }

  /** The end of the composite itself. */
  get end(): NodeRunCompleteRequest | undefined {
    return this.completions.find(({ id }) => id === 'root');
  }

  get children(): readonly InternalNodeRun[] {
    return [...this.nodes.values()].filter((node) => node.parent_node_run_id === 'root');
  }

  #over(id: string): InternalNodeRun | undefined {
    const node = this.#node(id);
    return isOver(node) ? node : undefined;
  }

  #node(id: string): InternalNodeRun {
    const node = this.nodes.get(id);
    if (node === undefined) throw new ArpError(404, 'node_run_not_found', `there is no NodeRun ${id}`);
    return node;
  }

  #failing(verb: string): void {
    const at = this.failures.findIndex((failure) => failure.verb === verb);
    const [failure] = at < 0 ? [] : this.failures.splice(at, 1);
    if (failure !== undefined) throw failure.error;
  }

  async #create({ run_id, parent_node_run_id }: NodeRunsCreateRequest, spec: Spec): Promise<InternalNodeRun> {
    if (isOver(this.#node(parent_node_run_id)))
      throw new ArpError(409, 'parent_node_run_terminal', 'its parent has ended');
    const key = spec.idempotency_key ?? '';
    const id = childNodeRunId(run_id, parent_node_run_id, key);
    const before = this.nodes.get(id);
    if (before !== undefined) {
      const same = JSON.stringify([before.inputs, before.node_type_ref]);
      if (same === JSON.stringify([spec.inputs, spec.node_type_ref])) return before;
      throw new ArpError(409, 'idempotency_conflict', `${id} is another`);
    }
    this.specs.push(spec);
    const { node_type_ref, inputs, constraints, candidate_set_id, binding_decision, extensions } = spec;
    const node: InternalNodeRun = {
      node_run_id: id,
      run_id,
      parent_node_run_id,
      node_type_ref,
      inputs,
      state: 'running',
      extensions: {
        ...extensions,
        idempotency_key: key,
        ...(constraints === undefined ? {} : { constraints }),
        ...(candidate_set_id === undefined ? {} : { candidate_set_id }),
        ...(binding_decision === undefined ? {} : { binding_decision }),
      },
    };
    this.put(node);
    const end = await this.#runs(node);
    if (end !== undefined) this.#end(id, end);
    return node;
  }
}

export const PLANNER = 'jarvis.composite.planner.general';
export const ref = (node_type_id: string) => ({ node_type_id, version: STACK_VERSION });
const TYPES: readonly NodeType[] = builtinTypes(STACK_VERSION);

/** Types that tests add come first. */
export function nodeTypes(more: readonly NodeType[] = []) {
  return {
    async get(id: string, version?: string): Promise<NodeType> {
      const found = [...more, ...TYPES].find((type) => type.node_type_id === id);
      if (found !== undefined && (version ?? found.version) === found.version) return found;
      throw new ArpError(404, 'node_type_not_found', `there is no node type ${id}`);
    },
  };
}

/** Offers the types whose last word stands in the goal. */
class WordSelection implements Selection {
  readonly requests: CandidateSetRequest[] = [];

  async candidates(request: CandidateSetRequest) {
    this.requests.push(request);
    const { subtask_id, goal } = request.subtask_spec;
    const found = TYPES.filter(({ node_type_id: id }) =>
      goal.toLowerCase().includes(id.split('.').at(-1) ?? ''),
    );
    return {
      candidate_set_id: `set_${subtask_id}`,
      subtask_id,
      candidates: found.map(({ node_type_id }) => ({ node_type_ref: ref(node_type_id) })),
      extensions: {},
    };
  }
}

/** Atomic node types, as far as tests look at what they give. */
export const works: Runs = ({ node_type_ref: { node_type_id: id }, inputs = {} }) => {
  if (id === 'jarvis.core.echo') return { state: 'succeeded', outputs: { echo: inputs['echo'] } };
  if (id === 'jarvis.core.hash.sha256')
    return { state: 'succeeded', outputs: { sha256: `hash of ${String(inputs['text'])}` } };
  return { state: 'succeeded', outputs: {} };
};

/** Pauses take no time, and so much of it passes. */
class QuickClock {
  now = 1_767_323_045_678;
  readonly pauses: number[] = [];

  nowMs(): number {
    return this.now;
  }

  async pause(ms: number, signal: AbortSignal): Promise<void> {
    this.pauses.push(ms);
    await setImmediate(undefined, { signal });
    this.now += ms;
  }
}

export const LIMITS = { JARVIS_COMPOSITE_MAX_STEPS: '8', JARVIS_COMPOSITE_MAX_DEPTH: '4' };

export class Scene {
  readonly coordinator: MemoryCoordinator;
  readonly selection = new WordSelection();
  readonly clock = new QuickClock();
  readonly notes: string[] = [];
  readonly executor: CompositeExecutor;

  constructor(runs: Runs | MemoryCoordinator = works, parts: Partial<CompositeParts> = {}) {
    this.coordinator = runs instanceof MemoryCoordinator ? runs : new MemoryCoordinator(runs);
    this.executor = new CompositeExecutor({
      selection: this.selection,
      nodeTypes: nodeTypes(),
      strategy: deterministicStrategy,
      settings: compositeSettings(LIMITS),
      clock: this.clock,
      coordinator: () => this.coordinator,
      note: (text) => this.notes.push(text),
      ...parts,
    });
  }

  /** Begins, and waits until nothing is in progress. */
  async drive(inputs: Fields, more: Partial<InternalCompositeBeginRequest> = {}): Promise<MemoryCoordinator> {
    await this.executor.begin(begin(inputs, more));
    await this.executor.settled();
    return this.coordinator;
  }
}

export function begin(
  inputs: Fields,
  more: Partial<InternalCompositeBeginRequest> = {},
): InternalCompositeBeginRequest {
  return {
    node_run_id: 'root',
    run_id: 'run_1',
    node_type_ref: ref(PLANNER),
    inputs,
    coordinator_endpoint: 'http://127.0.0.1:8081',
    ...more,
  };
}
