/** Keys, and signatures made with them. */
import type { CommandSpec } from '../../command.ts';
import { key, outDir, packArg } from './shared.ts';

export const SIGNING_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['sign'],
    summary: 'Sign a jobpack',
    intent: 'verifies a jobpack and adds a signature to the file beside it; signatures of others are kept',
    args: [packArg],
    flags: { key, 'out-dir': outDir },
    examples: ['sign release_42 --key ada.pem', 'sign jobpack_release_42.zip --key ada.pem'],
    load: async () => (await import('../sign.ts')).sign,
  },
  {
    path: ['keys', 'generate'],
    summary: 'Make a key to sign with',
    intent:
      'writes a new Ed25519 private key, for its owner only, and beside it the public key; encrypted if REEVE_SIGNING_KEY_PASSPHRASE is set',
    args: [],
    flags: {
      out: {
        kind: 'text',
        value: 'file',
        help: 'File of the private key; the public key goes to <file>.pub',
      },
      force: { kind: 'switch', help: 'Replace files that are there' },
    },
    examples: ['keys generate --out ada.pem'],
    load: async () => (await import('../keys.ts')).keysGenerate,
  },
  {
    path: ['keys', 'show'],
    summary: 'Show the id and the public part of a key',
    intent: 'reads a private or public key and prints its id and its public part',
    args: [{ name: 'file', required: true, help: 'File of a key, or - for standard input' }],
    flags: {},
    examples: ['keys show ada.pem', 'keys show -'],
    load: async () => (await import('../keys.ts')).keysShow,
  },
];
