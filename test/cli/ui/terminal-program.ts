// Runs a live view of a scripted job on the terminal that it is started in: `<progress|watch> <script>`. It goes on to the
// next view at every SIGUSR2, so that a test sees each of them, however slow the machine is.
import { EventEmitter, once } from 'node:events';
import { argv, env, stderr, stdout } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import type { CliContext } from '../../../src/cli/command.ts';
import { progressOf } from '../../../src/cli/ui/progress.ts';
import { follow } from '../../../src/cli/ui/watch.ts';
import type { JobView } from '../../../src/doors/jobs/view.ts';
import { done, jobView, NOW, running, step } from './views.ts';

const [, , mode, script] = argv;
const startedAtMs = performance.now();
const nowMs = (): number => Math.floor(NOW + performance.now() - startedAtMs);
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort('SIGTERM'));
const steps = new EventEmitter();
process.on('SIGUSR2', () => steps.emit('next'));
const next = (): Promise<unknown> => once(steps, 'next', { signal: stop.signal }).catch(() => undefined);

const views: readonly JobView[] =
  script === 'steps'
    ? [
        jobView(),
        jobView({ steps: [done(0, 'collect'), done(1, 'transform'), running(2, 'publish', 0)] }),
        jobView({
          status: 'completed',
          steps: ['collect', 'transform', 'publish'].map((name, at) => done(at, name)),
        }),
      ]
    : script === 'many'
      ? [
          jobView({
            steps: [
              done(0, 'collect'),
              running(1, 'transform'),
              ...Array.from({ length: 60 }, (_, at) => step(at + 2, `part ${at}`)),
            ],
          }),
        ]
      : [jobView()];
let at = 0;

function view(): JobView {
  if (script === 'fail' && at > 0) throw new Error('the store went away');
  return views[Math.min(at, views.length - 1)] ?? jobView();
}

const ctx: CliContext = {
  program: 'reeve',
  commands: [],
  json: false,
  env,
  cwd: '/',
  version: '0.0.0',
  storeRoot: '/home/x/.reeve',
  outDir: '/out',
  stdout,
  stderr,
  signal: stop.signal,
  jobs: () => Promise.reject(new Error('a scripted job has no store')),
  tracer: () => undefined,
};

if (mode === 'watch') {
  await follow(ctx, {
    refresh: async () => view(),
    subscribe(listener) {
      const onNext = (): void => {
        at += 1;
        listener();
      };
      steps.on('next', onNext);
      return () => steps.off('next', onNext);
    },
    nowMs,
  });
} else {
  // A timer of ours: the view must not keep the process alive by itself.
  const alive = setInterval(() => undefined, 60_000);
  const progress = progressOf(ctx, { refresh: async () => view(), nowMs });
  progress.onChange('release_42');
  if (script === 'brief') await delay(400);
  else {
    for (at = 0; at < views.length && !stop.signal.aborted; at += 1) {
      progress.onChange('release_42');
      await next();
      if (script === 'notes') stderr.write('a note from below\n');
    }
  }
  if (script === 'throws') throw new Error('the command broke');
  clearInterval(alive);
  await progress.stop();
  await progress.stop();
  stdout.write('job_id=release_42 status=completed\n');
}
