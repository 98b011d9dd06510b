import { canonicalJson } from '../model/canonical.ts';
import { evolve } from '../model/evolve.ts';
import type { RecordedEvent } from '../model/events.ts';
import type { Json, JsonObject } from '../model/json.ts';
import type { NodeSpec } from '../model/node.ts';
import { emptyState, nodeState, type RunState } from '../model/state.ts';
import { addUsage, NO_USAGE, type Usage } from '../model/usage.ts';
import { CHAIN_FORMAT } from './chain-entry.ts';
import { timeText } from './time.ts';

interface TreeNode {
  readonly spec: NodeSpec;
  readonly parent: string | undefined;
  attempts: number;
  usage: Usage;
}

/** The run that a pack's events add up to (I3): what `reeve/run.json` and `reeve/nodes.jsonl` say. */
export class RunFold {
  readonly #state: RunState;
  readonly #tree = new Map<string, TreeNode>();
  #document: Json | undefined;
  #hash = '';

  constructor(runId: string) {
    this.#state = emptyState(runId);
  }

  /** The document that the run was asked for with: a JobSpec, for one. */
  get document(): Json | undefined {
    return this.#document;
  }

  add(recorded: RecordedEvent, hash: string): void {
    evolve(this.#state, recorded);
    this.#state.fresh.length = 0;
    this.#hash = hash;
    const { event } = recorded;
    if (event.type === 'run_created' || event.type === 'run_imported') {
      const { root, nodes, document } = event.spec;
      this.#document = document;
      this.#addNodes([root], undefined);
      this.#addNodes(nodes, root.id);
    } else if (event.type === 'nodes_added') {
      this.#addNodes(event.nodes, event.parent);
    } else if (event.type === 'attempt_ended') {
      const node = this.#tree.get(event.node);
      if (node === undefined) return;
      node.attempts = Math.max(node.attempts, event.attempt);
      node.usage = addUsage(node.usage, event.usage);
    }
  }

  *nodeLines(): Generator<string> {
    for (const [id, { spec, parent, attempts, usage }] of this.#tree) {
      const node = {
        id,
        kind: spec.kind,
        parent,
        name: spec.name,
        executor: spec.executor,
        state: nodeState(this.#state, id) ?? 'canceled',
        attempts,
        usage,
      };
      yield `${canonicalJson(node)}\n`;
    }
  }

  /** What `reeve/run.json` says beside its envelope. */
  summary(): JsonObject {
    const { version, spec, standing, startedAtMs, limits, used, reserved, environment } = this.#state;
    return {
      format: CHAIN_FORMAT,
      chain: { events: version, head: this.#hash },
      name: spec.name,
      actor: spec.actor,
      tenant: spec.tenant,
      started_at: timeText(startedAtMs),
      standing: { ...standing },
      limits: { ...limits },
      used: { ...used },
      reserved: { ...reserved },
      ...(environment === undefined ? {} : { environment: { ...environment } }),
    };
  }

  #addNodes(specs: readonly NodeSpec[], parent: string | undefined): void {
    for (const spec of specs) this.#tree.set(spec.id, { spec, parent, attempts: 0, usage: NO_USAGE });
  }
}
