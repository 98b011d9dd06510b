/** Packages of skills: made, checked, signed for, handed to a control plane (contract agents §4, §5, §7). */
import type { CommandSpec, FlagSpec } from '../../command.ts';
import { controlFlags } from './control-plane.ts';
import { key } from './shared.ts';

const SKILL_HELP =
  'Folder of a skill, or of several; a package; or the name of a skill that comes with reeve';
const skills = { name: 'skill', required: true, repeated: true, help: SKILL_HELP } as const;
const someSkills = { ...skills, required: false } as const;
const allowList: FlagSpec = {
  kind: 'text',
  value: 'file',
  help: 'Signed allow-list (default allowlist.json)',
};

export const SKILL_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['skills', 'list'],
    summary: 'List skills: those that come with reeve, of folders, of a control plane',
    intent: 'lists skills with what they check; with --url the packages that a control plane has',
    args: [someSkills],
    usageError: 'E_USAGE',
    flags: controlFlags,
    examples: ['skills list', 'skills list ./my-skills', 'skills list --url http://localhost:5000'],
    load: async () => (await import('../skills-show.ts')).skillsList,
  },
  {
    path: ['skills', 'show'],
    summary: 'Show a skill, its digest and its arguments',
    intent: 'shows what a skill is, what its package would be, and the arguments that it takes',
    args: [
      {
        name: 'skill',
        required: true,
        help: 'Its folder or package, or the name of one that comes with reeve',
      },
    ],
    usageError: 'E_USAGE',
    flags: controlFlags,
    examples: [
      'skills show resource_invariants',
      'skills show resource_invariants --url http://localhost:5000',
    ],
    load: async () => (await import('../skills-show.ts')).skillsShow,
  },
  {
    path: ['skills', 'package'],
    summary: 'Make packages of skills',
    intent:
      'writes <name>-<version>.tar.gz for each skill, the same bytes on every machine, and prints their digests',
    args: [skills],
    usageError: 'E_USAGE',
    flags: { out: { kind: 'text', value: 'dir', help: 'Where packages go (default here)' } },
    examples: ['skills package resource_invariants', 'skills package ./my-skills --out packages'],
    load: async () => (await import('../skills-package.ts')).skillsPackage,
  },
  {
    path: ['skills', 'validate'],
    summary: 'Check skills as CI does before a review',
    intent:
      'checks manifest, files, syntax, secrets and cases of each skill, runs one case by the operational runner, and exits with 1 and a named reason for a bad one; it executes the skill',
    args: [skills],
    usageError: 'E_USAGE',
    flags: {},
    examples: ['skills validate ./my-skills', 'skills validate packages/probe-1.0.0.tar.gz --json'],
    load: async () => (await import('../skills-validate.ts')).skillsValidate,
  },
  {
    path: ['skills', 'sign'],
    summary: 'Put skills on the allow-list and sign it, or add a signature',
    intent:
      'adds or replaces entries of an allow-list, raises its serial and signs it; when nothing is to change, adds a signature to it as it is',
    args: [someSkills],
    rest: { name: 'command', help: 'A command to allow, program and arguments', optional: true, asIs: true },
    usageError: 'E_USAGE',
    flags: {
      'allow-list': allowList,
      key,
      'public-key': {
        kind: 'text',
        repeated: true,
        value: 'file',
        help: 'Whose signature under the last list counts, too',
      },
      tenant: { kind: 'text', help: 'Whose agents a new list is for (default default)' },
      days: { kind: 'count', help: 'How long it holds from now on (default 90); alone it renews a list' },
      command: { kind: 'text', repeated: true, value: 'text', help: 'A command for /bin/sh -c to allow' },
      remove: {
        kind: 'text',
        repeated: true,
        value: 'entry',
        help: 'Take away name@version, or the digest of a command',
      },
    },
    examples: [
      'skills sign resource_invariants --key signer.pem',
      'skills sign packages/probe-1.0.0.tar.gz --remove probe@0.9.0 --key signer.pem --days 30',
      'skills sign --allow-list allowlist.json --key second.pem',
    ],
    load: async () => (await import('../skills-sign.ts')).skillsSign,
  },
  {
    path: ['skills', 'publish'],
    summary: 'Hand packages and the signed allow-list to a control plane',
    intent: 'uploads packages, then the allow-list that names them; what is there already stays as it is',
    args: [someSkills],
    usageError: 'E_USAGE',
    flags: { 'allow-list': allowList, ...controlFlags },
    examples: ['skills publish resource_invariants', 'skills publish --allow-list allowlist.json'],
    load: async () => (await import('../skills-publish.ts')).skillsPublish,
  },
  {
    path: ['skills', 'approve'],
    summary: 'Let one destructive task act',
    intent:
      'signs an approval of exactly this task and package, and leaves it for the agent that gets the task',
    args: [{ name: 'task', required: true, help: 'Task id' }],
    usageError: 'E_USAGE',
    flags: {
      key,
      approver: {
        kind: 'text',
        value: 'name',
        help: 'Name that agents know the key by (default of the file)',
      },
      minutes: { kind: 'count', help: 'How long it holds (default 60, at most 10080)' },
      digest: { kind: 'text', value: 'sha256:…', help: 'Only if the task runs this package' },
      ...controlFlags,
    },
    examples: ['skills approve 6f1c… --key signer.pem', 'skills approve 6f1c… --key signer.pem --minutes 15'],
    load: async () => (await import('../skills-approve.ts')).skillsApprove,
  },
];
