/** Packs: writing, verifying, reading them. */
import type { CommandSpec } from '../../command.ts';
import { job, key, noVerify, outDir, packArg, redact, sign, signatureFlags } from './shared.ts';

export const EVIDENCE_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['export'],
    summary: "Write a job's evidence to one file",
    intent:
      "writes a jobpack: a zip with the job's events, checkpoints, approvals and their hashes; the same job gives the same bytes",
    args: [job],
    flags: {
      'out-dir': outDir,
      capture: {
        kind: 'text',
        value: 'mode',
        help: 'reference-only (default), or raw: the artifacts themselves',
      },
      'unsafe-raw-capture': { kind: 'switch', help: 'Really put whole files into the pack' },
      redact,
      sign,
      key,
    },
    examples: [
      'export release_42',
      'export release_42 --sign --key ci.pem',
      'export release_42 --capture raw --unsafe-raw-capture',
    ],
    load: async () => (await import('../export.ts')).exportPack,
  },
  {
    path: ['verify'],
    summary: 'Verify a jobpack, offline',
    intent: "checks a jobpack's archive, hashes, schemas, and that everything in it is what its events say",
    args: [packArg],
    flags: {
      'out-dir': outDir,
      ...signatureFlags,
    },
    examples: [
      'verify release_42',
      'verify jobpack_release_42.zip --json',
      'verify jobpack_release_42.zip --require-signature --public-key ci.pem.pub',
      'verify jobpack_release_42.zip --require-signature --require-signed-approvals --trust team.json',
    ],
    load: async () => (await import('../verify.ts')).verify,
  },
  {
    path: ['job', 'inspect'],
    summary: 'Show what happened in a job, in order',
    intent: "reads a job's timeline from the store, or from a jobpack after verifying it",
    args: [packArg],
    flags: { 'out-dir': outDir, 'no-verify': noVerify },
    examples: ['job inspect release_42', 'job inspect jobpack_release_42.zip'],
    load: async () => (await import('../job.ts')).jobInspect,
  },
  {
    path: ['job', 'diff'],
    summary: 'Compare two jobpacks',
    intent: 'verifies two jobpacks and lists the files that differ',
    args: [
      { name: 'a', required: true, help: 'Job id or jobpack' },
      { name: 'b', required: true, help: 'Job id or jobpack' },
    ],
    flags: { 'no-verify': noVerify },
    examples: ['job diff release_41 release_42'],
    load: async () => (await import('../job.ts')).jobDiff,
  },
  {
    path: ['receipt'],
    summary: 'Print the line that names a jobpack by its hash',
    intent: 'prints the footer of a jobpack; exports it first when given a job id',
    args: [packArg],
    flags: { 'out-dir': outDir },
    examples: ['receipt release_42'],
    load: async () => (await import('../receipt.ts')).receipt,
  },
];
