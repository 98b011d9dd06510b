/** The store itself. */
import type { CommandSpec } from '../../command.ts';

export const STORE_COMMANDS: readonly CommandSpec[] = [
  {
    path: ['store', 'prune'],
    summary: 'Remove old jobs and results',
    intent: 'removes jobs and output files that are old or beyond a count; jobs that are not over are left',
    args: [],
    flags: {
      'job-max-age': { kind: 'text', value: 'duration', help: 'Jobs untouched for this long, such as 168h' },
      'jobpack-max-age': { kind: 'text', value: 'duration', help: 'Jobpacks this old' },
      'report-max-age': { kind: 'text', value: 'duration', help: 'Reports this old' },
      'integration-max-age': { kind: 'text', value: 'duration', help: 'Integration files this old' },
      'max-jobpacks': { kind: 'text', value: 'n', help: 'Keep only the newest jobpacks' },
      'max-reports': { kind: 'text', value: 'n', help: 'Keep only the newest reports' },
      'include-active': { kind: 'switch', help: 'Also jobs that are waiting or running' },
      'dry-run': { kind: 'switch', help: 'Only say what would go' },
      'store-root': { kind: 'text', value: 'dir', help: 'The store' },
      'out-dir': { kind: 'text', value: 'dir', help: 'The output directory' },
    },
    examples: ['store prune --job-max-age 720h --dry-run'],
    load: async () => (await import('../store.ts')).storePrune,
  },
  {
    path: ['store', 'check'],
    summary: 'Verify the whole store',
    intent: 'verifies the database, every hash chain, snapshot, payload and work row, and changes nothing',
    args: [{ name: 'job', required: false, help: 'Only this job' }],
    flags: {},
    examples: ['store check', 'store check release_42'],
    load: async () => (await import('../store.ts')).storeCheck,
  },
  {
    path: ['store', 'repair'],
    summary: 'Mend what can be mended without losing events',
    intent: 'rebuilds snapshots, lists, work rows and job directories from the events; never drops an event',
    args: [{ name: 'job', required: false, help: 'Only this job' }],
    flags: {},
    examples: ['store repair release_42'],
    load: async () => (await import('../store.ts')).storeRepair,
  },
  {
    path: ['store', 'import'],
    summary: 'Take job directories of another implementation into the store',
    intent:
      'imports job directories below the store root, or one of them; they are also imported when they are addressed',
    args: [{ name: 'job', required: false, help: 'Only this job' }],
    flags: {},
    examples: ['store import'],
    load: async () => (await import('../store.ts')).storeImport,
  },
];
