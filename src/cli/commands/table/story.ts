/** A run's story, read out of its pack. */
import type { CommandSpec } from '../../command.ts';
import { noVerify, outDir, packArg, signatureFlags } from './shared.ts';

export const STORY_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['replay'],
    summary: 'Play a finished run again, from its jobpack',
    intent:
      "verifies a jobpack and shows its run event by event, or as it stood at one moment; every time shown is the pack's",
    args: [packArg],
    flags: {
      at: {
        kind: 'text',
        value: 'place',
        help: 'Only the state at a time (RFC 3339), evt_12, cp_12 or +1m30s',
      },
      speed: { kind: 'amount', value: 'n', help: 'Seconds of the run in one second (default 4)' },
      'max-pause': {
        kind: 'text',
        value: 'duration',
        help: 'Longest wait between two events (default 1s)',
      },
      step: { kind: 'switch', help: 'Go by keys: space or → next event, ← back, q quits' },
      'out-dir': outDir,
      'no-verify': noVerify,
    },
    examples: [
      'replay release_42',
      'replay jobpack_release_42.zip --step',
      'replay release_42 --at cp_18',
      'replay release_42 --json',
    ],
    load: async () => (await import('../replay.ts')).replay,
  },
  {
    path: ['diff'],
    summary: 'Say why two runs differ',
    intent:
      'compares two runs by meaning: what was asked for, environment, events, steps, decisions, artifacts, usage, status',
    args: [
      { name: 'a', required: true, help: 'Job id, or file of a jobpack' },
      { name: 'b', required: true, help: 'Job id, or file of a jobpack' },
    ],
    flags: {
      'exit-code': { kind: 'switch', help: 'Exit with 1 when they differ' },
      'out-dir': outDir,
      'no-verify': noVerify,
    },
    examples: ['diff nightly_41 nightly_42', 'diff before.zip after.zip --exit-code'],
    load: async () => (await import('../diff.ts')).diff,
  },
  {
    path: ['report', 'html'],
    summary: 'Write a run as a page to read',
    intent:
      'verifies a jobpack and writes one HTML file about its run, which needs no network and runs no script',
    args: [packArg],
    flags: {
      out: { kind: 'text', value: 'file', help: 'File to write (default reports/run_<job>.html)' },
      'out-dir': outDir,
      'no-verify': noVerify,
      ...signatureFlags,
    },
    examples: [
      'report html release_42',
      'report html jobpack_release_42.zip --out run.html --trust team.json',
    ],
    load: async () => (await import('../report-html.ts')).reportHtml,
  },
];
