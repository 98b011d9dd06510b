/** From one store to another. */
import type { CommandSpec } from '../../command.ts';

export const COPY_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['store', 'copy'],
    summary: 'Copy jobs from one store to another',
    intent:
      'copies jobs with all their events, verified and whole, from one store to another; what is there already is left',
    args: [],
    flags: {
      from: { kind: 'text', value: 'store', help: 'Directory or postgres:// URL (default: the store)' },
      to: { kind: 'text', value: 'store', help: 'Directory or postgres:// URL (default: the store)' },
      job: { kind: 'text', repeated: true, value: 'id', help: 'Only this job' },
    },
    examples: [
      'store copy --from ~/.reeve --to postgres://reeve@db.example.com/reeve',
      'store copy --to ./copy --job release_42',
    ],
    load: async () => (await import('../copy.ts')).storeCopy,
  },
];
