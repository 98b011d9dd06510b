/** What a person decides: checkpoints, approvals, budgets. */
import type { CommandSpec } from '../../command.ts';
import { job, reason, by, key, limits, agentLimits, sign } from './shared.ts';

export const DECISION_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['checkpoint', 'list'],
    summary: "List a job's checkpoints",
    intent: 'reads the checkpoints of one job',
    args: [job],
    flags: {},
    examples: ['checkpoint list release_42'],
    load: async () => (await import('../checkpoint.ts')).checkpointList,
  },
  {
    path: ['checkpoint', 'show'],
    summary: 'Show one checkpoint',
    intent: 'reads one checkpoint of a job',
    args: [job, { name: 'checkpoint', required: true, help: 'Checkpoint id, such as cp_7' }],
    flags: {},
    examples: ['checkpoint show release_42 cp_7'],
    load: async () => (await import('../checkpoint.ts')).checkpointShow,
  },
  {
    path: ['checkpoint', 'emit'],
    summary: 'Add a checkpoint to a job',
    intent: 'writes a checkpoint; a decision-needed one on a running job stops it until it is approved',
    args: [job],
    flags: {
      type: { kind: 'text', value: 'type', help: 'plan, progress, decision-needed, blocked or completed' },
      summary: { kind: 'text', help: '1 to 2000 bytes' },
      status: { kind: 'text', value: 'status', help: 'Must be the status that the job will have' },
      'required-kind': { kind: 'text', value: 'kind', help: 'Which action a decision needs' },
      'required-instructions': { kind: 'text', help: 'What the person is to do' },
      'reason-code': { kind: 'text', repeated: true, value: 'code', help: 'Reason code' },
    },
    examples: [
      'checkpoint emit release_42 --type decision-needed --summary "ship?" --required-kind approval',
    ],
    load: async () => (await import('../checkpoint.ts')).checkpointEmit,
  },
  {
    path: ['approve'],
    summary: 'Approve a decision',
    intent: 'records an approval of one decision-needed checkpoint, bound to what was decided',
    args: [job],
    flags: {
      checkpoint: { kind: 'text', value: 'cp', help: 'The decision, such as cp_7' },
      reason,
      'approved-by': by,
      binds: {
        kind: 'text',
        value: 'hash',
        help: 'Hash of what was reviewed; refused when the decision is about something else',
      },
      sign,
      key,
    },
    examples: [
      'approve release_42 --checkpoint cp_7 --reason "reviewed the plan"',
      'approve release_42 --checkpoint cp_7 --reason "reviewed the plan" --sign --key ada.pem',
    ],
    load: async () => (await import('../approve.ts')).approve,
  },
  {
    path: ['budget', 'check'],
    summary: "Compare a job's usage with limits",
    intent: 'compares usage with the given limits and stops a running job that is over one',
    args: [job],
    flags: { ...limits, ...agentLimits },
    examples: ['budget check release_42 --max-step-count 10'],
    load: async () => (await import('../budget.ts')).budgetCheck,
  },
];
