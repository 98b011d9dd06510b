/** Acceptance, and what others are told: reports and tickets. */
import type { CommandSpec } from '../../command.ts';
import { job, outDir, packArg } from './shared.ts';

export const ACCEPTANCE_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['accept', 'init'],
    summary: 'Write an acceptance configuration to start from',
    intent: "writes a commented file that says what a job's work must be like",
    args: [],
    flags: {
      path: { kind: 'text', value: 'file', help: 'File to write (default accept.yaml)' },
      force: { kind: 'switch', help: 'Replace a file that is there' },
    },
    examples: ['accept init', 'accept init --path ci/accept.yaml'],
    load: async () => (await import('../accept.ts')).acceptInit,
  },
  {
    path: ['accept', 'run'],
    summary: "Check a job's work, with exit code 5 if it is not accepted",
    intent:
      'checks schemas, required artifacts and path rules of a job, runs its test and lint commands here, and records the result',
    args: [job],
    flags: {
      config: {
        kind: 'text',
        value: 'file',
        help: "Acceptance configuration (default: what the job's spec names, else accept.yaml)",
      },
      ci: { kind: 'switch', help: 'Also write the JUnit report, the jobpack and the GitHub summary' },
      junit: { kind: 'text', value: 'file', help: 'Write a JUnit report there' },
      'out-dir': outDir,
    },
    examples: ['accept run release_42', 'accept run release_42 --ci --junit build/accept.xml'],
    load: async () => (await import('../accept.ts')).acceptRun,
  },
  {
    path: ['report', 'github'],
    summary: 'Summarise a job for GitHub',
    intent:
      'writes a summary of a jobpack as JSON and Markdown, also to GITHUB_STEP_SUMMARY; exports first when given a job id',
    args: [packArg],
    flags: { 'out-dir': outDir },
    examples: ['report github release_42', 'report github jobpack_release_42.zip --json'],
    load: async () => (await import('../report.ts')).reportGithub,
  },
  {
    path: ['bridge', 'work-item'],
    summary: 'Write a ticket for a checkpoint that needs somebody',
    intent: 'writes what somebody has to do about a blocked or decision-needed checkpoint',
    args: [job],
    flags: {
      checkpoint: { kind: 'text', value: 'id', help: 'The checkpoint, cp_<n>' },
      'dry-run': { kind: 'switch', help: 'Only show it, write nothing' },
      template: { kind: 'text', value: 'name', help: 'Also write its text: github or jira' },
      'out-dir': outDir,
    },
    examples: [
      'bridge work-item release_42 --checkpoint cp_7 --template github',
      'bridge work-item release_42 --checkpoint cp_7 --dry-run',
    ],
    load: async () => (await import('../bridge.ts')).workItem,
  },
];
