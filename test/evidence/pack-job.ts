/** A job in memory and what a pack of it is made of. Loads nothing of vitest: processes of their own use it too. */
import { lineOf, projectionOf } from '../../src/doors/jobs/lines.ts';
import type { JobSpec } from '../../src/doors/jobs/schema.ts';
import { toRun } from '../../src/doors/jobs/to-run.ts';
import { sealEvent } from '../../src/engine/event-codec.ts';
import { sha256 } from '../../src/engine/system.ts';
import type { PackRecord, PackSource } from '../../src/evidence/jobpack.ts';
import { genesisHash } from '../../src/model/chain.ts';
import type { Command } from '../../src/model/commands.ts';
import { decide } from '../../src/model/decide/index.ts';
import type { RecordedEvent } from '../../src/model/events.ts';
import { evolve } from '../../src/model/evolve.ts';
import { emptyState, type RunState } from '../../src/model/state.ts';
import { signStatement } from '../../src/policy/dsse.ts';
import type { SigningKey } from '../../src/policy/keys.ts';
import { approvalStatement } from '../../src/policy/statements.ts';

const STEPS = [
  { id: 'collect', summary: 'notes collected', command: 'true', artifacts: ['notes/collected.txt'] },
  { id: 'judge', summary: 'may they be published?', executed: false, decision_needed: true },
  { id: 'publish', summary: 'notes published', command: 'true', artifacts: ['notes/published.txt'] },
];

function specOf(steps: readonly object[]): JobSpec {
  return {
    schema_id: 'wrkr.jobspec',
    schema_version: 'v1',
    created_at: '2025-03-01T00:00:00Z',
    producer_version: 'dev',
    name: 'notes_job',
    objective: 'Do it.',
    inputs: { steps } as unknown as JobSpec['inputs'],
    expected_artifacts: ['notes/published.txt'],
    adapter: { name: 'reference' },
    budgets: { max_wall_time_seconds: 1e6, max_retries: 1, max_step_count: 1e6, max_tool_calls: 1e6 },
    checkpoint_policy: { min_interval_seconds: 3, required_types: ['plan', 'progress', 'completed'] },
  };
}

/** A job driven by hand, a second between commands: two steps with artifacts around a decision, unless told otherwise. */
export class PackJob {
  readonly jobId: string;
  readonly events: RecordedEvent[] = [];
  readonly #steps: readonly object[];
  #state: RunState;
  nowMs = Date.UTC(2025, 2, 1, 9);

  constructor(jobId = 'demo', steps: readonly object[] = STEPS) {
    this.jobId = jobId;
    this.#steps = steps;
    this.#state = emptyState(jobId);
  }

  /** From the beginning to an open decision, or to the end where there is none. */
  toDecision(worker: 'lives' | 'dies' = 'lives'): this {
    const where = {
      cwd: '/srv/here',
      jobDir: '/store/jobs/demo',
      tenant: 'default',
      actor: 'tester',
      producerVersion: '0.1.0',
    };
    this.must({ type: 'create', spec: toRun(specOf(this.#steps), where) });
    this.#claim();
    if (worker === 'dies') this.#die();
    this.#work();
    return this;
  }

  /** From the beginning to the end, approved, with a signature if there is a key. */
  toEnd(key?: SigningKey): this {
    this.toDecision();
    const [checkpoint = 0] = [...this.#state.decisions.keys()];
    const binds = this.#state.decisions.get(checkpoint)?.binds ?? '';
    const [by, reason] = ['ann', 'read it'];
    const claim = { jobId: this.jobId, checkpointId: `cp_${checkpoint}`, approvedBy: by, reason, binds };
    const signature = key === undefined ? {} : { signature: signStatement(approvalStatement(claim), key) };
    this.must({ type: 'approve', checkpoint, by, reason, ...signature });
    this.#claim({ by: 'ann' });
    this.#work();
    return this;
  }

  must(command: Command): void {
    this.nowMs += 1000;
    const decided = decide(this.#state, command, { nowMs: this.nowMs, sha256, random: () => 0.5 });
    if (!decided.ok) throw new Error(`${command.type}: ${decided.refusal.message}`);
    for (const event of decided.events) {
      this.events.push(event);
      this.#state = evolve(this.#state, event);
    }
  }

  /** Changes the one approval, as a forger would who can seal a chain anew. */
  forgeApproval(edit: (approval: Approved) => Approved): this {
    const at = this.events.findIndex(({ event }) => event.type === 'approval_recorded');
    const recorded = this.events[at];
    if (recorded?.event.type !== 'approval_recorded') throw new Error('there is no approval');
    this.events[at] = { ...recorded, event: edit(recorded.event) };
    return this;
  }

  /** A fact at the end of the log. */
  note(data: PackFact): void {
    this.events.push({
      seq: this.events.length + 1,
      atMs: this.nowMs,
      event: { type: 'fact_recorded', name: 'note', data },
    });
  }

  source(more: Partial<PackSource> = {}): PackSource {
    return sourceOf(this.jobId, this.events, more);
  }

  #claim(resume?: { by: string }): void {
    const claimant = { worker: 'dispatch-1', leaseId: 'lease-1-1', ttlMs: 30_000 };
    this.must({ type: 'claim', node: 'job', claimant, ...(resume === undefined ? {} : { resume }) });
  }

  /** The worker is lost in its first step; another one finds that the step was finished. */
  #die(): void {
    const [node = ''] = this.#state.ready.keys();
    const epoch = this.#state.nodes.get('job')?.epoch ?? 0;
    this.must({ type: 'start', node, epoch });
    const seenMs = this.nowMs;
    this.nowMs += 30_000;
    this.must({ type: 'release', node: 'job', epoch, cause: 'expired', seenMs });
    this.#claim();
    const next = this.#state.nodes.get('job')?.epoch ?? 0;
    this.must({ type: 'finish', node, attempt: 1, epoch: next, outcome: 'succeeded', usage: {} });
  }

  #work(): void {
    const epoch = this.#state.nodes.get('job')?.epoch ?? 0;
    while (this.#state.standing.phase === 'running') {
      const [node] = this.#state.ready.keys();
      if (node === undefined) break;
      this.must({ type: 'start', node, epoch });
      const attempt = this.#state.nodes.get(node)?.attempt ?? 0;
      this.must({ type: 'finish', node, attempt, epoch, outcome: 'succeeded', usage: {} });
    }
    if (this.#state.nodes.get('job')?.lease === undefined) return;
    this.must({ type: 'release', node: 'job', epoch, cause: 'released', seenMs: this.nowMs });
  }
}

export type Approved = Extract<RecordedEvent['event'], { type: 'approval_recorded' }>;
type PackFact = Extract<RecordedEvent['event'], { type: 'fact_recorded' }>['data'];

export function sourceOf(
  jobId: string,
  events: readonly RecordedEvent[],
  more: Partial<PackSource> = {},
): PackSource {
  return { jobId, producerVersion: '0.1.0', records: recordsOf(jobId, events), ...more };
}

async function* recordsOf(jobId: string, events: readonly RecordedEvent[]): AsyncGenerator<PackRecord> {
  const first = events.find(
    ({ event }) => event.type === 'run_created' || event.type === 'run_imported',
  )?.event;
  if (first?.type !== 'run_created' && first?.type !== 'run_imported') return;
  const projection = projectionOf(jobId, first.spec, '0.1.0');
  let previous = genesisHash(jobId, sha256);
  for (const recorded of events) {
    const { body, hash } = sealEvent(previous, recorded, sha256).stored;
    previous = hash;
    yield { line: lineOf(recorded, projection), recorded, body, hash };
  }
}
