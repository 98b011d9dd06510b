/** `demo`: the main job, for real, in about a second: a decision, a kill -9, and every step done exactly once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { approve } from '../../doors/jobs/control.ts';
import { runSurroundings, type Jobs } from '../../doors/jobs/jobs.ts';
import { checkpointId, statusOf } from '../../doors/jobs/map.ts';
import { exportJob } from '../../doors/jobs/pack.ts';
import { resume } from '../../doors/jobs/resume.ts';
import { createJob } from '../../doors/jobs/submit.ts';
import { parseJobSpec } from '../../doors/jobs/load-spec.ts';
import { formatTime } from '../../doors/jobs/time.ts';
import { toRun } from '../../doors/jobs/to-run.ts';
import { outputError } from '../../evidence/output-file.ts';
import { footerText } from '../../evidence/receipt.ts';
import { verifyJobpack } from '../../evidence/verify.ts';
import { ReeveError } from '../../model/errors.ts';
import { makeFolder } from '../../store/make-folder.ts';
import { firstOpenDecision, type RunState } from '../../model/state.ts';
import type { CommandHandler } from '../command.ts';
import type { CliContext } from '../command.ts';
import { packLines } from './export.ts';
import { outDirOf } from './verify.ts';

/** Every step writes its name here; a step that ran twice would show. */
const LEDGER = 'ledger.txt';
const SLOW_STEP = '1:transform';

export const demo: CommandHandler = async (ctx, { flags }) => {
  const outDir = outDirOf(ctx, flags);
  const jobs = await ctx.jobs();
  const tell = (text: string): void => {
    if (!ctx.json) ctx.stderr.write(`${text}\n`);
  };
  const workspaces = join(outDir, 'demo');
  await makeFolder(workspaces, 0o750).catch((error: unknown) => {
    throw outputError(error, workspaces);
  });
  const root = await realpath(workspaces);
  const spec = await parseJobSpec(demoSpec(formatTime(jobs.engine.clock.nowMs()), ctx.version));
  const jobId = await createJob(jobs, {
    name: 'job_demo',
    run: (id) => toRun(spec, runSurroundings(jobs, id, join(root, id))),
  });
  const workspace = join(root, jobId);
  await mkdir(workspace, { mode: 0o750 });

  tell(`1. A job of four steps is submitted: ${jobId}`);
  await killInTheMiddle(ctx, jobs, jobId, tell);
  tell('3. It is resumed. The command outlived its worker: it is found again, not started twice.');
  const held = await goOn(ctx, jobs, jobId);
  const decision = firstOpenDecision(held);
  if (decision === undefined)
    throw new ReeveError(
      'E_GENERIC_FAILURE',
      `the demo job is ${statusOf(held.standing)} where it should wait for a decision`,
      { job_id: jobId },
    );
  const checkpoint = checkpointId(decision.checkpoint);
  tell(
    `4. It stops at a decision (${checkpoint}): nothing after it starts before someone approves exactly that.`,
  );
  await approve(jobs, { jobId, checkpoint, by: 'demo', reason: 'the demo approves itself' });
  tell('5. Approved, and resumed to its end.');
  const done = await goOn(ctx, jobs, jobId);

  const ledger = (await readFile(join(workspace, LEDGER), 'utf8')).trim().split('\n');
  const counts = new Map<string, number>();
  for (const step of ledger) counts.set(step, (counts.get(step) ?? 0) + 1);
  const exactlyOnce = ['collect', 'transform', 'publish'].every((step) => counts.get(step) === 1);
  if (!exactlyOnce || done.standing.phase !== 'succeeded') {
    throw new ReeveError('E_GENERIC_FAILURE', 'the demo did not end with every step done exactly once', {
      job_id: jobId,
      ledger,
    });
  }
  tell(`   The ledger that the steps wrote: ${ledger.join(', ')}. Each exactly once.`);
  tell(`   Look closer: ${ctx.program} job inspect ${jobId}, ${ctx.program} checkpoint list ${jobId}`);
  const pack = await exportJob(jobs, jobId, { outDir });
  const { manifestSha256, filesVerified } = await verifyJobpack(pack.path);
  tell(`6. Its evidence is one file of ${filesVerified} parts, verified: anyone can do that, offline.`);
  return {
    json: { job_id: jobId, jobpack: pack.path, footer: footerText(pack), manifest: manifestSha256 },
    text: packLines(pack),
  };
};

/** A worker of its own process runs the job; it is killed while a step's command is running. */
async function killInTheMiddle(
  ctx: CliContext,
  jobs: Jobs,
  jobId: string,
  tell: (text: string) => void,
): Promise<void> {
  const entry = fileURLToPath(new URL(`../../../bin/${ctx.program}.js`, import.meta.url));
  // A URL may hold a password, and arguments can be seen by everybody.
  const { postgres, env } = ctx;
  const worker = spawn(
    process.execPath,
    [entry, 'resume', jobId, ...(postgres === undefined ? ['--store', ctx.storeRoot] : [])],
    {
      stdio: 'ignore',
      env: { ...env, ...(postgres === undefined ? {} : { REEVE_STORE_URL: postgres.url }) },
    },
  );
  const exited = once(worker, 'exit');
  const running = untilRunning(ctx, jobs, jobId);
  await Promise.race([running, exited]);
  worker.kill('SIGKILL');
  await exited;
  await running;
  tell(`2. A worker (pid ${worker.pid}) ran step 1 and started step 2; kill -9 hits it in the middle.`);
}

/** Resolves once the slow step's command has written to the ledger. */
async function untilRunning(ctx: CliContext, jobs: Jobs, jobId: string): Promise<void> {
  const giveUp = AbortSignal.any([ctx.signal, AbortSignal.timeout(20_000)]);
  while (!giveUp.aborted) {
    const state = await jobs.engine.state(jobId);
    const live = state.nodes.get(SLOW_STEP)?.live;
    if (live !== undefined) {
      const status = await jobs.executors
        .get('process')
        ?.status({ executor: 'process', effectKey: live.effectKey });
      if (status?.phase === 'running') return;
    }
    await jobs.engine.clock.sleep(15, giveUp);
  }
  ctx.signal.throwIfAborted();
  throw new ReeveError('E_GENERIC_FAILURE', "the demo's worker did not get to its second step", {
    job_id: jobId,
  });
}

async function goOn(ctx: CliContext, jobs: Jobs, jobId: string): Promise<RunState> {
  const { state, error } = await resume(jobs, {
    jobId,
    resume: { by: 'demo' },
    takeover: 'told',
    markDone: [],
    queue: false,
    signal: ctx.signal,
  });
  if (error !== undefined) throw error;
  return state;
}

function demoSpec(createdAt: string, version: string) {
  const ledger = (name: string, rest: string): string => `echo ${name} >> ${LEDGER} && ${rest}`;
  return {
    schema_id: 'wrkr.jobspec',
    schema_version: 'v1',
    created_at: createdAt,
    producer_version: version,
    name: 'demo',
    objective: 'Collect, transform, have it reviewed, publish',
    inputs: {
      steps: [
        {
          id: 'collect',
          summary: 'data collected',
          command: ledger('collect', 'echo "a b c" > data.txt'),
          artifacts: ['data.txt'],
        },
        {
          id: 'transform',
          summary: 'data transformed',
          command: ledger('transform', 'sleep 0.4 && tr a-z A-Z < data.txt > out.txt'),
          artifacts: ['out.txt'],
        },
        { id: 'review', summary: 'publish the result?', decision_needed: true, required_action: 'approval' },
        {
          id: 'publish',
          summary: 'report published',
          command: ledger('publish', 'mkdir -p reports && cp out.txt reports/demo.md'),
          artifacts: ['reports/demo.md'],
        },
      ],
    },
    expected_artifacts: ['reports/demo.md'],
    adapter: { name: 'reference' },
    budgets: { max_wall_time_seconds: 60, max_retries: 2, max_step_count: 10, max_tool_calls: 10 },
    checkpoint_policy: { min_interval_seconds: 1, required_types: ['plan', 'progress', 'completed'] },
    environment_fingerprint: { rules: ['os', 'arch'] },
  };
}
