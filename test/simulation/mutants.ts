/** Faults that are planted in the engine, one at a time: a simulation that does not find them is not worth its time. */

export interface Mutant {
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  readonly says: string;
  /** Why nothing can come of it, where nothing can. */
  readonly equivalent?: string;
  /** What finds it, where worlds are not the place for it. */
  readonly test?: NamedTest;
}

export interface NamedTest {
  readonly file: string;
  /** The end of its full name, which no other test of the file has. */
  readonly name: string;
  /** Why it is not for the simulation. */
  readonly why: string;
}

export const MUTANTS: readonly Mutant[] = [
  // --- engine: commands and commits
  {
    file: 'src/engine/engine.ts',
    find: 'return await this.#queue.push(commit);',
    replace: "void this.#queue.push(commit).catch(() => undefined); return 'ok';",
    says: 'answers before the commit is stored',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'return await this.#queue.push(commit);',
    replace: "await this.#queue.push(commit); return 'ok';",
    says: 'takes a conflict for success',
  },
  {
    file: 'src/engine/engine.ts',
    find: '    } catch (error) {\n      this.#drop(runId, hot);\n      throw error;',
    replace: '    } catch (error) {\n      throw error;',
    says: 'keeps a run in memory after its commit failed',
    equivalent: 'the next use finds out by version and hash, and loads it again',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'isDecidedAgain };\n      }\n      this.#drop(runId, hot);',
    replace: 'isDecidedAgain };\n      }',
    says: 'decides again on the state that met a conflict',
  },
  {
    file: 'src/engine/engine.ts',
    find: '        if (await this.#isStale(runId, hot)) continue;\n',
    replace: '',
    says: 'refuses on what is in memory, without looking at the store',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'if (known !== undefined && known.state.version >= (loaded?.head.version ?? 0)) return known;',
    replace: '',
    says: 'loads a run over one that others have built on',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'version > hot.state.version;',
    replace: 'false;',
    says: 'does not see that a run with commits under way is behind',
    test: {
      file: 'test/engine/engine.test.ts',
      name: 'that finds more there than our commits on their way have made refuses nothing because of them',
      why: 'it takes a refusal between two commits of two processes: rare, and of no consequence but for who asked',
    },
  },
  {
    file: 'src/engine/engine.ts',
    find: '(version !== hot.state.version || (head !== undefined && head.hash !== hash))',
    replace: 'version !== hot.state.version',
    says: 'takes another history of the same length for its own',
    equivalent: 'a run whose commit failed has left the memory before: two checks for one thing',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'hot.pending === 0 &&',
    replace: 'hot.pending >= 0 &&',
    says: 'drops what is being committed because the store is behind it',
    equivalent: 'a commit that began meanwhile has changed the hash, and what is looked at next is that',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'const isQuiet = pending === 0 && hot.pending === 0 && hash === hot.hash;',
    replace: 'const isQuiet = hot.pending >= 0;',
    says: 'takes what it has just written itself for the work of others',
    test: {
      file: 'test/engine/engine.test.ts',
      name: 'that was overtaken by a commit of our own does not have the run read anew',
      why: 'the run is only read once more than needed, and what was decided on it again',
    },
  },
  {
    file: 'src/engine/engine.ts',
    find: 'return { live: !isDead && untilMs > this.clock.nowMs(), seenMs: Math.max(0, untilMs - held.ttlMs) };',
    replace: 'return { live: false, seenMs: Math.max(0, untilMs - held.ttlMs) };',
    says: 'takes every lease for one that ran out',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'return { live: !isDead && untilMs > this.clock.nowMs(), seenMs: Math.max(0, untilMs - held.ttlMs) };',
    replace: 'return { live: true, seenMs: Math.max(0, untilMs - held.ttlMs) };',
    says: 'takes no lease for one that ran out',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'return isFromOutside(command, state) ? heldOn(state, state.spec.rootId) : undefined;',
    replace: 'return undefined;',
    says: 'commands from outside bill the time after the worker died',
  },
  {
    file: 'src/engine/engine.ts',
    find: '        await spilled;\n',
    replace: '',
    says: 'commits an event before its payload is stored',
  },
  {
    file: 'src/engine/engine.ts',
    find: '    state.fresh.length = 0;\n    const aliases',
    replace: '    const aliases',
    says: 'offers again what became ready long ago',
    equivalent: 'what is offered again is offered already',
  },
  {
    file: 'src/engine/engine.ts',
    find: '? await this.store.events(head.id, 0, head.version)',
    replace: '? loaded.tail',
    says: 'reads only the events after a snapshot that cannot be read',
  },
  {
    file: 'src/engine/commit-queue.ts',
    find: 'expectedHash: group.commit.expectedHash,',
    replace: '',
    says: 'a merged commit names the hash of its last part',
  },
  {
    file: 'src/engine/commit-queue.ts',
    find: ' || takesWhatIsFreed(group.commit.work, commit.work)',
    replace: '',
    says: 'merges a claim with the release that makes room for it',
    test: {
      file: 'test/engine/found-by-simulation.test.ts',
      name: 'neither is in the way of the other',
      why: 'worlds show it too, about one in a thousand: two people resume one run through one process at once',
    },
  },
  {
    file: 'src/engine/commit-queue.ts',
    find: 'return [...kept, ...later];',
    replace: 'return later;',
    says: 'a merged commit loses the work rows of its first part',
  },
  {
    file: 'src/engine/commit-queue.ts',
    find: 'events: [...group.commit.events, ...commit.events],',
    replace: 'events: [...commit.events, ...group.commit.events],',
    says: 'a merged commit turns the order of events around',
  },
  {
    file: 'src/engine/commit-queue.ts',
    find: 'const snapshot = commit.snapshot ?? group.commit.snapshot;',
    replace:
      'const snapshot = commit.snapshot === undefined ? group.commit.snapshot && { ...group.commit.snapshot, version: commit.head.version } : commit.snapshot;',
    says: 'an older snapshot goes under a newer version',
  },
  {
    file: 'src/engine/commit-queue.ts',
    find: "const result = results[at] ?? 'conflict';",
    replace: "const result = results[0] ?? 'conflict';",
    says: 'gives everybody the answer of the first',
    test: {
      file: 'test/engine/engine.test.ts',
      name: 'of several runs in one transaction each is told what became of its own',
      why: 'it takes two runs in one transaction, of which one has just been changed elsewhere',
    },
  },
  {
    file: 'src/engine/commit-queue.ts',
    find: '    this.#running = false;\n',
    replace: '',
    says: 'the queue never starts again',
  },
  // --- engine: work rows
  {
    file: 'src/engine/work-changes.ts',
    find: "changes.push(park(state));\n        if (event.to.phase === 'running')",
    replace: "if (event.to.phase === 'running')",
    says: 'a phase that changes leaves the rows as they are',
  },
  {
    file: 'src/engine/work-changes.ts',
    find: "return phase === 'held' ||",
    replace: 'return',
    says: 'held runs are offered to workers',
  },
  {
    file: 'src/engine/work-changes.ts',
    find: "if (isIdle(state, event.node)) changes.push({ op: 'drop', node: event.node });\n        else\n          changes.push({",
    replace: 'changes.push({',
    says: 'a node that nobody should claim is offered when it is let go',
  },
  {
    file: 'src/engine/work-changes.ts',
    find: "return state.live.size === 0 ? [{ op: 'clear' }] : leftoverChanges(state, changes);",
    replace: "return [{ op: 'clear' }];",
    says: 'nobody is called to stop what runs on after the end',
  },
  {
    file: 'src/engine/work-changes.ts',
    find: 'untilMs: nowMs + ttlMs,',
    replace: 'untilMs: nowMs,',
    says: 'a lease ends as it begins',
  },
  {
    file: 'src/engine/work-changes.ts',
    find: 'if (node.live !== undefined || isToBegin(state, node)) return true;',
    replace: 'if (isToBegin(state, node)) return true;',
    says: 'a node with an attempt that nobody watches is not offered',
  },
  {
    file: 'src/engine/work-changes.ts',
    find: 'node.waiting === 0 && !awaitsDecision(state, node)',
    replace: 'node.waiting === 0',
    says: 'a plan that waits for an approval is offered for ever',
  },
  // --- engine: leases
  {
    file: 'src/engine/lease-keeper.ts',
    find: 'if (!this.#lost && this.#engine.clock.nowMs() >= this.#untilMs) this.#lose();',
    replace: '',
    says: 'who slept past the lease does not notice',
  },
  {
    file: 'src/engine/lease-keeper.ts',
    find: 'if (await this.#engine.store.renew(runId, node, epoch, untilMs)) this.#untilMs = untilMs;',
    replace:
      'await this.#engine.store.renew(runId, node, epoch, untilMs); this.#untilMs = untilMs; if (true) continue;',
    says: 'a renewal that is refused counts',
    equivalent: 'epoch, version and fence keep the loser out all the same; it only learns of it later',
  },
  {
    file: 'src/engine/lease-keeper.ts',
    find: 'await this.#engine.clock.sleep(ttlMs / 3, signal);',
    replace: 'await this.#engine.clock.sleep(ttlMs * 3, signal);',
    says: 'renews when it is too late',
  },
  // --- engine: workers that are dead
  {
    file: 'test/simulation/hosts.ts',
    find: 'isDead: (leaseId) => this.isProven(process.name, leaseId)',
    replace:
      'isDead: (leaseId) => this.isProven(process.name, leaseId) || this.#holderOf(leaseId)?.isStopped === true',
    says: 'a frozen worker counts as dead',
  },
  {
    file: 'src/engine/dead-workers.ts',
    find: 'for (const queue of this.#queues) {',
    replace: 'for (const queue of [] as string[]) {',
    says: 'nobody looks for workers that are dead',
  },
  {
    file: 'src/engine/dead-workers.ts',
    find: '(node?.lease?.ttlMs ?? 0)',
    replace: '0',
    says: 'the time until the lease of a dead worker would have ended is billed',
  },
  {
    file: 'src/engine/dead-workers.ts',
    find: "cause: 'expired', seenMs });",
    replace: "cause: 'released', seenMs });",
    says: 'says that a dead worker let go by itself',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'const isDead = endsDead && ',
    replace: 'const isDead = ',
    says: 'claims what the store still has under the lease of a dead worker',
  },
  {
    file: 'src/engine/engine.ts',
    find: 'return isClaim(command) && command.node !== rootId ? heldOn(state, rootId) : undefined;',
    replace: 'return undefined;',
    says: 'who takes over what is left of a composite bills the time after the worker of the root died',
    test: {
      file: 'test/engine/found-by-simulation.test.ts',
      name: 'when another worker takes over what is left of a composite that has ended',
      why: 'the auditor knows no lease of a root that nobody asked about',
    },
  },
  // --- engine: drivers
  {
    file: 'src/engine/leased-run.ts',
    find: '(this.#keeper.holds() && !this.#isAnothers(state))',
    replace: 'this.#keeper.holds()',
    says: 'what was begun with a claim that never came about goes on under the epoch of somebody else',
  },
  {
    file: 'src/engine/attempt-starter.ts',
    find: 'if (!run.holds()) return; // the intent',
    replace: '// the intent',
    says: 'begins an effect after its lease ran out',
    equivalent: 'who takes over fences the key or finds the effect under way',
  },
  {
    file: 'src/engine/attempt-watcher.ts',
    find: 'if (recorded) await executor.forget(ref)',
    replace: 'await executor.forget(ref)',
    says: 'forgets an effect whose end is not on record',
  },
  {
    file: 'src/engine/attempt-watcher.ts',
    find: "if (status.phase === 'not_started') return await this.#neverBegan(attempt, refused);",
    replace:
      "if (status.phase === 'not_started') { await this.#neverBegan(attempt, refused); return await executor.forget(ref); }",
    says: 'takes the fence away that keeps a late submission out',
  },
  {
    file: 'src/engine/driver.ts',
    find: "if (isTerminal(state.standing)) return 'done';",
    replace: '',
    says: 'does not see that the run is over',
    equivalent: 'what is over does not run either: it ends by another word',
  },
  {
    file: 'src/engine/driver.ts',
    find: "if (state.standing.phase !== 'running') return 'held';",
    replace: '',
    says: 'does not see that the run is held',
  },
  {
    file: 'src/engine/driver.ts',
    find: "if (end !== 'lost') await this.#run.release();",
    replace: '',
    says: 'keeps the lease when it goes',
  },
  {
    file: 'src/engine/driver.ts',
    find: 'node !== undefined && awaitsDecision(state, node)',
    replace: 'node !== undefined && node.gate === -1',
    says: 'waits for approvals with the lease in its hand',
  },
  {
    file: 'src/engine/driver.ts',
    find: 'if (!this.#working.has(id) && leaseOwner(state, id) === this.#lease.node)',
    replace: 'if (false)',
    says: 'does not take over attempts of the worker before it',
  },
  {
    file: 'src/engine/attempt-watcher.ts',
    find: "const outcome = status.outcome === 'timed_out' && wallLeft === 0 ? 'over_budget' : status.outcome;",
    replace: "const outcome = status.outcome === 'failed' ? 'succeeded' : status.outcome;",
    says: 'takes failure for success',
  },
  {
    file: 'src/engine/attempt-watcher.ts',
    find: 'else await this.interrupt(attempt, status.phase, status.reason);',
    replace: "else await this.interrupt(attempt, 'not_started', status.reason);",
    says: 'takes an unknown outcome for one that never began',
  },
  {
    file: 'src/engine/attempt-watcher.ts',
    find: "if (all || effect.isUnheard || state?.nodes.get(id)?.state === 'canceled') await this.#stop(effect);",
    replace: 'if (all) await this.#stop(effect);',
    says: 'does not stop children whose composite has ended',
    test: {
      file: 'test/engine/driver.test.ts',
      name: 'a composite that ends from outside takes its running children with it',
      why: 'effects of the simulated machine end by themselves, stopped or not',
    },
  },
  {
    file: 'src/engine/executor-calls.ts',
    find: 'if (failures >= FAILURES_MAX) throw executorFailure(executor, ref, why);',
    replace: 'throw why;',
    says: 'an executor that fails once ends the worker',
    test: {
      file: 'test/engine/found-by-simulation.test.ts',
      name: 'for a while is asked again, and nothing is lost',
      why: 'a worker that ends over a failure made up for it is started again',
    },
  },
  {
    file: 'src/engine/worker.ts',
    find: '      if (isTerminal(state.standing)) {\n        await this.stopLeftovers(row.runId);\n        return true;\n      }\n',
    replace: '',
    says: 'no worker stops what is left of a run that is over',
  },
  {
    file: 'src/engine/worker.ts',
    find: 'const limit = room + refused.size + driving.size + crowd.size;',
    replace: 'const limit = room;',
    says: 'work that is refused hides the work behind it',
    test: {
      file: 'test/engine/worker.test.ts',
      name: 'does not hide what waits behind it',
      why: 'worlds have few runs, and a worker that waits a second for each loses none',
    },
  },
  {
    file: 'src/engine/worker.ts',
    find: "await executor.cancel(ref, 'canceled').catch(",
    replace: 'await Promise.resolve().catch(',
    says: 'waits for leftovers without stopping them',
    test: {
      file: 'test/engine/worker.test.ts',
      name: 'of a canceled run are stopped by any worker once the lease has run out',
      why: 'effects of the simulated machine end by themselves, stopped or not',
    },
  },
  {
    file: 'src/engine/worker.ts',
    find: "if (executed !== undefined && status.phase !== 'not_started')",
    replace: "if (status.phase !== 'not_started')",
    says: 'forgets leftovers whose end another is just recording',
    test: {
      file: 'test/engine/worker.test.ts',
      name: 'are not forgotten by one that only heard that their end is being recorded (I5)',
      why: 'it takes two of one process that stop the same leftover while its end is being written',
    },
  },
  // --- model: attempts
  {
    file: 'src/model/decide/lease.ts',
    find: 'if (owner?.lease === undefined || owner.epoch !== epoch) leaseConflict(state, owner);',
    replace: '',
    says: 'a stale epoch may write',
  },
  {
    file: 'src/model/decide/end-attempt.ts',
    find: 'if (node?.live?.attempt !== ref.attempt) {',
    replace: 'if (node?.live === undefined) {',
    says: 'an attempt that is over may write on the one after it',
  },
  {
    file: 'src/model/decide/start-attempt.ts',
    find: '  if (node.live !== undefined) {\n    refuse(',
    replace: '  if (node.attempt < 0) {\n    refuse(',
    says: 'a second attempt starts beside a live one',
  },
  {
    file: 'src/model/decide/start-attempt.ts',
    find: 'const attempt = node.attempt + 1;',
    replace: 'const attempt = Math.max(1, node.attempt);',
    says: 'a retry has the number of the attempt before',
  },
  {
    file: 'src/model/decide/start-attempt.ts',
    find: 'if (over.length > 0) return stopForBudget(draft, over, spec.id);\n  // The root',
    replace: '  // The root',
    says: 'starts what the budget does not allow',
  },
  {
    file: 'src/model/decide/start-attempt.ts',
    find: 'if (!approved(draft, node)) return;',
    replace: '',
    says: 'starts without the approval it needs',
  },
  {
    file: 'src/model/decide/start-attempt.ts',
    find: 'if (isGated(state, node)) requireApproval(state, node.gate ?? 0);',
    replace: '',
    says: 'starts before the decision about it is approved',
  },
  {
    file: 'src/model/decide/end-attempt.ts',
    find: "if (canceled || fails || found === 'not_started' || spec.onInterrupt === 'rerun')",
    replace: 'if (canceled || fails || found)',
    says: 'reruns silently what may not be rerun',
  },
  {
    file: 'src/model/decide/start-attempt.ts',
    find: '...(node.ran > 0 ? { retries: 1 } : {})',
    replace: '',
    says: 'retries cost nothing',
  },
  {
    file: 'src/model/decide/end-attempt.ts',
    find: 'subtractUsage(end.usage, live.charged)',
    replace: 'end.usage',
    says: 'the total counts charges twice',
  },
  {
    file: 'src/model/decide/end-attempt.ts',
    find: 'const base = addUsage(NO_USAGE, reportedUsage(reported));',
    replace: 'const base = addUsage(NO_USAGE, reported);',
    says: 'believes any usage that is reported',
  },
  {
    file: 'src/model/decide/end-attempt.ts',
    find: "if (undecided) holdIfPossible(draft, 'decision');",
    replace: '',
    says: 'goes past the decisions inside a composite',
    test: {
      file: 'test/model/decisions.test.ts',
      name: 'a decision inside a composite whose own executor ends it first holds what comes after (I8)',
      why: 'simulated executors of composites end within two seconds, or hand over',
    },
  },
  // --- model: leases, decisions, conclusions
  {
    file: 'src/model/decide/lease.ts',
    find: 'if (ctx.lease?.live !== false) {',
    replace: 'if (ctx.lease === undefined) {',
    says: 'takes a lease that is held',
  },
  {
    file: 'src/model/decide/lease.ts',
    find: "epoch: node.epoch + 1 };\n  draft.emit({ type: 'node_assigned'",
    replace: "epoch: Math.max(1, node.epoch) };\n  draft.emit({ type: 'node_assigned'",
    says: 'a new lease has the epoch of the old one',
  },
  {
    file: 'src/model/decide/lease.ts',
    find: "if (standing.phase !== 'running') requireApprovals(state);",
    replace: '',
    says: 'resumes over an open decision',
  },
  {
    file: 'src/model/decide/lease.ts',
    find: '  if (lease.epoch !== command.epoch) {',
    replace: '  if (lease.epoch < 0) {',
    says: 'lets go of the lease of somebody else',
  },
  {
    file: 'src/model/decide/lease.ts',
    find: '  if (isRoot) concludeAll(draft);\n  else conclude(draft, command.node);',
    replace: '',
    says: 'nothing is concluded when a run is resumed',
  },
  {
    file: 'src/model/decide/decision.ts',
    find: 'if (command.binds !== undefined && command.binds !== decision.binds) {',
    replace: 'if (command.binds === null) {',
    says: 'approves something else than what was reviewed',
  },
  {
    file: 'src/model/decide/conclude.ts',
    find: 'const done = node.childrenSettled === node.children && node.undecided === 0;',
    replace: 'const done = node.childrenSettled === node.children;',
    says: 'a plan ends before its last decision is approved',
  },
  {
    file: 'src/model/decide/conclude.ts',
    find: 'if (state.openDecisions === 0 || state.ready.size > 0 || state.live.size > 0 || state.open.size > 0) return;',
    replace: 'return;',
    says: 'a run in which all waits for a decision is not held',
  },
  {
    file: 'src/model/transitions.ts',
    find: "    case 'canceled':\n      return false;",
    replace: "    case 'canceled':\n      return to.phase === 'held' || to.phase === 'canceled';",
    says: 'a run that is over can be held or canceled',
  },
  // --- model: the fold
  {
    file: 'src/model/evolve.ts',
    find: 'Math.min(event.seenMs, recorded.atMs)',
    replace: 'recorded.atMs',
    says: 'the time after a worker died is billed',
  },
  {
    file: 'src/model/evolve.ts',
    find: 'state.reserved = subtractUsage(state.reserved, live.reserved);',
    replace: '',
    says: 'reservations are never given back',
  },
  {
    file: 'src/model/evolve.ts',
    find: 'state.used = addUsage(state.used, subtractUsage(event.usage, live.charged));',
    replace: 'state.used = addUsage(state.used, event.usage);',
    says: 'what was charged is charged again at the end',
  },
  {
    file: 'src/model/evolve.ts',
    find: '    state.ready.delete(node);\n  }\n}',
    replace: '  }\n}',
    says: 'what waits for its approval stays ready',
  },
  {
    file: 'src/model/evolve.ts',
    find: "if (node.spec.kind === 'composite') cancelBelow(state, id, seq);",
    replace: '',
    says: 'what is below a composite outlives it',
  },
  {
    file: 'src/model/evolve.ts',
    find: "if (settled === 'succeeded' && !isDecision) release(state, id);",
    replace: 'release(state, id);',
    says: 'a failed step releases what needs it',
  },
  {
    file: 'src/model/evolve.ts',
    find: '    put(state, { ...rest, failures: 0 });',
    replace: '    put(state, { ...rest, failures: node.failures });',
    says: 'a resume leaves no retries',
  },
  {
    file: 'src/model/snapshot.ts',
    find: "  for (const id of stored['live'] as string[]) state.live.set(id, true);\n",
    replace: '',
    says: 'a snapshot forgets what is live',
  },
  {
    file: 'src/model/table.ts',
    find: 'if (!this.has(key)) this.#size += 1;',
    replace: 'this.#size += 1;',
    says: 'a table counts what it replaces',
    test: {
      file: 'test/model/table.test.ts',
      name: 'an overlay reads as a copy with the same changes does, and leaves what is below alone',
      why: 'a decision replaces nothing in the tables whose size it asks for, and its overlay is gone after it',
    },
  },
  {
    file: 'src/model/decide/draft.ts',
    find: 'atMs: Math.max(atMs, this.state.lastAtMs)',
    replace: 'atMs',
    says: 'a clock that is behind turns time back',
  },
];
