/** The program itself. */
import type { CommandSpec } from '../../command.ts';
import { serveFlags } from './shared.ts';

export const PROGRAM_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['doctor'],
    summary: 'Check that everything is in place',
    intent:
      'looks at the store, the output directory and the configuration, or asks the services of ARP, and changes nothing',
    args: [],
    flags: {
      'production-readiness': { kind: 'switch', help: 'Check what production needs' },
      stack: { kind: 'switch', help: 'Ask the services of ARP that the environment names instead' },
      url: { kind: 'text', value: 'url', help: 'With --stack: ask those of a stack in one process' },
      ...serveFlags,
    },
    examples: [
      'doctor',
      'doctor --production-readiness',
      'doctor --stack',
      'doctor --stack --url http://127.0.0.1:8080',
    ],
    load: async () => (await import('../doctor.ts')).doctor,
  },
  {
    path: ['completion'],
    summary: 'Print a completion script for your shell',
    intent: 'prints a completion script',
    args: [{ name: 'shell', required: true, help: 'bash, zsh or fish' }],
    flags: {},
    examples: ['completion bash >> ~/.bashrc'],
    load: async () => (await import('../completion.ts')).completion,
  },
  {
    path: ['version'],
    summary: 'Print the version',
    intent: 'prints the version',
    args: [],
    flags: {},
    examples: ['version'],
    load: async () => (await import('../version.ts')).version,
  },
  {
    path: ['help'],
    summary: 'Print this map',
    intent: 'prints the command map',
    args: [],
    flags: {},
    examples: [],
    load: async () => (await import('../version.ts')).version,
  },
];
