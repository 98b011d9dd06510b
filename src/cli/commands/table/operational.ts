/** Operational runs: one command, its artifacts, its exit code. */
import type { CommandSpec } from '../../command.ts';

export const OPERATIONAL_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['run'],
    summary: 'Run one command and keep its artifacts',
    intent:
      'runs a command or skill, keeps output, log and summary in a directory, and ends with its exit code',
    args: [],
    rest: { name: 'command', help: 'Program and arguments, as they are', optional: true, asIs: true },
    usageError: 'E_USAGE',
    flags: {
      action: { kind: 'text', value: 'name', help: 'What is being done; names the log' },
      command: { kind: 'text', value: 'text', help: 'Command for /bin/sh -c' },
      skill: { kind: 'text', value: 'name@version', help: 'Skill to run, of DATA_DIR/skills' },
      arg: { kind: 'text', repeated: true, value: 'key=value', help: 'Argument of the skill' },
      'run-id': {
        kind: 'text',
        value: 'id',
        help: 'Id of the run; it must be new (default run-<time>-<6 hex>)',
      },
      timeout: {
        kind: 'count',
        help: 'Seconds until it is stopped, 1 to 86400 (default: none; of a skill its own)',
      },
      'max-output': { kind: 'count', help: 'Bytes of output that are kept (default 67108864)' },
      'runs-dir': { kind: 'text', value: 'dir', help: 'Where runs are kept (default RUNS_DIR, ./runs)' },
      'env-ref': {
        kind: 'text',
        repeated: true,
        value: 'name',
        help: 'Variable that the command gets; its value is masked',
      },
    },
    examples: [
      "run --action health --command 'curl -fsS localhost:8080/health'",
      'run --action backup --timeout 600 --env-ref BACKUP_TOKEN -- ./backup.sh --full',
      'run --action disks --skill resource_invariants@1.0.0 --arg path=/var',
    ],
    load: async () => (await import('../run.ts')).run,
  },
  {
    path: ['agent'],
    summary: 'Poll a control plane for work, and run it',
    intent:
      'registers with a control plane, polls it for tasks, runs those that the allow-list of this machine lets run, and brings back what came of them',
    args: [],
    usageError: 'E_USAGE',
    flags: {
      url: { kind: 'text', value: 'url', help: 'Control plane (default CONTROL_URL, http://localhost:5000)' },
      parallel: { kind: 'count', help: 'Tasks at a time (default JARVAS_PARALLEL, 1)' },
      'runs-dir': { kind: 'text', value: 'dir', help: 'Where runs are kept (default RUNS_DIR, ./runs)' },
    },
    examples: ['agent', 'agent --url https://control.example:5000 --parallel 4'],
    load: async () => (await import('../agent.ts')).agent,
  },
];
