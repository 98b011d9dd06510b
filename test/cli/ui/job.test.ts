// What a person sees of a job, line by line.
import { describe, expect, test } from 'vitest';
import type { CheckpointView, JobView } from '../../../src/doors/jobs/view.ts';
import { ChangeLog } from '../../../src/cli/ui/changes.ts';
import { COLOURS, PLAIN } from '../../../src/cli/ui/colour.ts';
import { jobLines, liveLines, type Look } from '../../../src/cli/ui/job.ts';
import { listLines } from '../../../src/cli/ui/list.ts';
import { callOf, nextCommands } from '../../../src/cli/ui/next.ts';
import { progressLines } from '../../../src/cli/ui/progress.ts';
import { statusLines } from '../../../src/cli/ui/status.ts';
import { paint, textWidth, type Line } from '../../../src/cli/ui/text.ts';
import { context } from './context.ts';
import { done, jobView, NOW, running, step } from './views.ts';

const CALL = { program: 'reeve', store: [] };

function shown(view: JobView, look: Partial<Look> = {}): string[] {
  const whole = { call: CALL, nowMs: NOW, width: Infinity, ...look };
  return plain(jobLines(view, whole), whole.width);
}

function plain(lines: readonly Line[], width = Infinity): string[] {
  return lines.map((line) => paint(line, width, PLAIN));
}

const DECIDING = jobView({
  status: 'blocked_decision',
  summary: 'publish it?',
  steps: [
    done(0, 'collect'),
    step(1, 'review', {
      state: 'succeeded',
      attempts: 1,
      startedAtMs: NOW,
      endedAtMs: NOW,
      awaitsApproval: true,
    }),
    step(2, 'publish', { state: 'waiting' }),
  ],
  checkpoints: [
    { id: 'cp_4', type: 'plan', summary: 'collect, review, publish', atMs: NOW - 64_000 },
    { id: 'cp_12', type: 'decision-needed', summary: 'publish it?', atMs: NOW - 5000 },
  ],
  openDecisions: ['cp_12'],
});

describe('status', () => {
  test('a running job', () => {
    const { worker: _, ...rest } = jobView();
    expect(shown(jobView())).toEqual([
      'release_42  running  nightly release',
      '1 of 3 steps done · running time 1m 05s · updated 4s ago',
      'worker dispatch-0 · lease ends in 21s',
      '',
      '  #  STEP       STATE    TRIES  TIME  EXIT',
      '  1  collect    done         1  0.4s     0',
      '  2  transform  running      1  4.2s',
      '  3  publish    queued',
      '',
      'Budget',
      '  running time  ██░░░░░░░░░░░░░░░░░░  1m 05s of 10m 00s',
      '  steps         ██░░░░░░░░░░░░░░░░░░  1 of 10',
      '  tool calls    ████████████████░░░░  8 of 10',
      '',
      'Checkpoints',
      '  cp_4  plan      1m ago  collect, transform, publish',
      '  cp_8  progress  5s ago  data collected',
      '',
      'Next',
      '  reeve watch release_42  # follow it',
    ]);
    expect(shown(rest).slice(-1)).toEqual(['  reeve resume release_42  # nobody works on it']);
    expect(shown(jobView(), { workerGone: true })).toEqual(
      expect.arrayContaining([
        'worker dispatch-0 · lease ends in 21s · its process is gone',
        '  reeve resume release_42 --takeover  # its worker is gone',
      ]),
    );
  });

  test('a job that waits for a decision says how to approve it', () => {
    expect(shown(DECIDING).slice(4)).toEqual([
      '  #  STEP     STATE            TRIES  TIME  EXIT',
      '  1  collect  done                 1  0.4s     0',
      '  2  review   awaits approval      1  0.0s',
      '  3  publish  waiting',
      '',
      'Waits for approval',
      '  cp_12  publish it?',
      '    reeve approve release_42 --checkpoint cp_12 --reason "…"',
      '',
      'Budget',
      '  running time  ██░░░░░░░░░░░░░░░░░░  1m 05s of 10m 00s',
      '  steps         ██░░░░░░░░░░░░░░░░░░  1 of 10',
      '  tool calls    ████████████████░░░░  8 of 10',
      '',
      'Checkpoints',
      '  cp_4   plan             1m ago  collect, review, publish',
      '  cp_12  decision-needed  5s ago  publish it?',
      '',
      'Next',
      '  reeve approve release_42 --checkpoint cp_12 --reason "…"  # after a look at it',
      '  reeve resume release_42                                   # once approved',
    ]);
  });

  test('a job that failed says why, and what to do', () => {
    const lines = shown(
      jobView({
        status: 'blocked_error',
        summary: "step 'transform' failed: the command ended with exit code 3",
        reasonCodes: ['E_ADAPTER_FAIL'],
        steps: [
          done(0, 'collect'),
          step(1, 'transform', {
            attempts: 2,
            startedAtMs: NOW - 900,
            endedAtMs: NOW - 100,
            lastOutcome: 'failed',
            exitCode: 3,
          }),
        ],
      }),
    );
    expect(lines[6]).toBe('  2  transform  failed      2  0.8s     3');
    expect(lines.slice(-6)).toEqual([
      'Blocked  E_ADAPTER_FAIL',
      "  step 'transform' failed: the command ended with exit code 3",
      "  Read the step's output, correct the cause, then resume: finished steps do not run again.",
      '',
      'Next',
      '  reeve resume release_42  # once the cause is mended',
    ]);
  });

  test('only the last five checkpoints are shown, and who approved', () => {
    const checkpoints: CheckpointView[] = Array.from({ length: 12 }, (_, at) => ({
      id: `cp_${at + 1}`,
      type: 'progress',
      summary: `part ${at}`,
      atMs: NOW,
    }));
    const lines = shown(
      jobView({ checkpoints: checkpoints.with(11, { ...checkpoints[11]!, approvedBy: 'anna' }) }),
    );
    const at = lines.indexOf('Checkpoints  last 5 of 12');
    expect(lines.slice(at + 1, at + 7)).toEqual([
      '  cp_8   progress  just now  part 7',
      '  cp_9   progress  just now  part 8',
      '  cp_10  progress  just now  part 9',
      '  cp_11  progress  just now  part 10',
      '  cp_12  progress  just now  approved by anna  part 11',
      '',
    ]);
  });

  test('of many steps those around the first open one are shown, the others counted', () => {
    const steps = [
      ...Array.from({ length: 60 }, (_, at) => done(at, `s${at + 1}`)),
      running(60, 's61'),
      ...Array.from({ length: 100 }, (_, at) => step(at + 61, `s${at + 62}`)),
    ];
    const lines = shown(jobView({ steps }));
    const table = lines.slice(4, lines.indexOf('', 4));
    expect(table).toHaveLength(41);
    expect(table.slice(0, 4)).toEqual([
      '    #  STEP  STATE    TRIES  TIME  EXIT',
      '  … 1–55: 55 done',
      '   56  s56   done         1  0.4s     0',
      '   57  s57   done         1  0.4s     0',
    ]);
    expect(table).toContain('   61  s61   running      1  4.2s');
    expect(table.at(-1)).toBe('  … 94–161: 68 queued');
    const over = shown(jobView({ status: 'completed', steps: steps.map((_, at) => done(at, `s${at + 1}`)) }));
    expect(over[5]).toBe('  … 1–123: 123 done');
  });

  test('a job of ten thousand steps is rendered in a moment', () => {
    const steps = Array.from({ length: 10_000 }, (_, at) =>
      at < 5000 ? done(at, `step ${at}`) : step(at, `step ${at}`),
    );
    const checkpoints = Array.from({ length: 10_000 }, (_, at) => ({
      id: `cp_${at + 1}`,
      type: 'progress',
      summary: '日本語',
      atMs: NOW,
    }));
    const view = jobView({ steps, checkpoints });
    shown(view);
    // The best of several: on a busy machine any one of them may have to wait.
    const tookMs = Array.from({ length: 5 }, () => {
      const startedAtMs = performance.now();
      shown(view, { width: 80 });
      return performance.now() - startedAtMs;
    });
    expect(Math.min(...tookMs)).toBeLessThan(100);
  });

  test('no line is wider than the terminal, but for commands, which are whole', () => {
    const summary = 'a long story about what is to be decided here, '.repeat(20);
    const view = {
      ...DECIDING,
      name: '長い名前'.repeat(20),
      checkpoints: [{ id: 'cp_12', type: 'decision-needed', summary, atMs: NOW }],
    };
    for (const columns of [20, 60, 80, 140]) {
      const lines = statusLines(context({ isTTY: true, columns }), view, NOW);
      const wide = lines.filter(
        (line) => textWidth(line) > columns && !line.trimStart().startsWith('reeve '),
      );
      expect(wide).toEqual([]);
      expect(lines).toContain('    reeve approve release_42 --checkpoint cp_12 --reason "…"');
    }
  });

  test('what came from data cannot write to the terminal', () => {
    const evil = '\u001b]0;owned\u0007\u009b2J';
    const view = jobView({
      name: evil,
      summary: evil,
      status: 'blocked_error',
      reasonCodes: [evil],
      openDecisions: ['cp_8'],
      steps: [step(0, evil, { lastOutcome: 'unknown', attempts: 1 })],
      checkpoints: [{ id: 'cp_8', type: evil, summary: evil, atMs: NOW, approvedBy: evil }],
      worker: { name: evil, untilMs: NOW },
    });
    const look = { call: CALL, nowMs: NOW, width: 80 };
    const all = [
      ...jobLines(view, look),
      ...liveLines(view, look, 30),
      ...progressLines({ ...view, steps: [running(0, evil)] }, { nowMs: NOW, spinner: '*', width: 80 }),
    ];
    // oxlint-disable-next-line no-control-regex -- looking for control characters is the purpose
    expect(plain(all).filter((line) => /[\u0000-\u001f\u007f-\u009f]/.test(line))).toEqual([]);
  });

  test('colours', () => {
    const [title] = jobLines(jobView(), { call: CALL, nowMs: NOW, width: 80 });
    expect(paint(title ?? [], 80, COLOURS)).toBe(
      '\u001b[1mrelease_42\u001b[22m  \u001b[36mrunning\u001b[39m  nightly release',
    );
  });
});

describe('what to type next', () => {
  const next = (view: Partial<JobView>): string[] =>
    nextCommands(jobView(view), CALL, NOW, false).map(({ text }) => text);

  test('a budget that is used up is doubled', () => {
    const budget = [
      { key: 'wallMs', used: 60_100, limit: 60_000 },
      { key: 'steps', used: 1, limit: 10 },
      { key: 'costMicros', used: 5_000_000, limit: 2_000_000 },
    ] as const;
    expect(next({ status: 'blocked_budget', budget })).toEqual([
      'reeve resume release_42 --max-wall-time-seconds 120 --max-estimated-cost 7.5 --reason "…"',
    ]);
  });

  test('a step of unknown outcome can be marked done', () => {
    const steps = [step(0, "it's", { lastOutcome: 'unknown', attempts: 1 })];
    expect(next({ status: 'blocked_error', steps })).toEqual([
      String.raw`reeve resume release_42 --mark-done 'it'\''s' --reason "…"`,
      'reeve resume release_42',
    ]);
  });

  test('another environment can be accepted', () => {
    expect(next({ status: 'blocked_error', reasonCodes: ['E_ENV_FINGERPRINT_MISMATCH'] })).toEqual([
      'reeve resume release_42',
      'reeve resume release_42 --force-env --reason "…"',
    ]);
  });

  test('a decision that is approved only waits for resume', () => {
    expect(next({ status: 'blocked_decision' })).toEqual(['reeve resume release_42']);
  });

  test('what a control plane drives is left to it', () => {
    for (const status of ['queued', 'running', 'blocked_error', 'completed'] as const)
      expect(next({ status, queue: 'agents' })).toEqual([]);
    const rollout = jobView({
      status: 'blocked_decision',
      queue: 'agents-rollouts',
      openDecisions: ['cp_4'],
    });
    expect(next(rollout)).toEqual(['reeve rollout status release_42']);
    const lines = shown(rollout).join('\n');
    expect(lines).toContain('reeve rollout promote release_42 --reason "…"');
    expect(lines).not.toMatch(/resume|approve /);
    const task = shown(jobView({ queue: 'agents' }));
    expect(task).not.toContain('Next');
    expect(task.join('\n')).toContain('a task of the control plane');
  });

  test('a lease that has ended leaves nobody at work', () => {
    expect(next({ worker: { name: 'dispatch-1', untilMs: NOW } })).toEqual(['reeve resume release_42']);
  });

  test('a store that is not the usual one is named', () => {
    const here = { ...context({}), storeRoot: '/tmp/my store' };
    expect(callOf(context({}))).toEqual({ program: 'reeve', store: [] });
    expect(nextCommands(jobView({ status: 'paused' }), callOf(here), NOW, false)).toEqual([
      { text: "reeve resume release_42 --store '/tmp/my store'", note: 'go on' },
    ]);
  });
});

describe('list', () => {
  const listed = { created_at: '2026-01-02T03:00:00Z', updated_at: '2026-01-02T03:00:05Z' };
  const page = {
    jobs: [
      {
        job_id: 'release_42',
        name: 'nightly',
        status: 'blocked_decision',
        steps: 12,
        steps_done: 3,
        ...listed,
      },
      { job_id: 'x', name: '日本', status: 'completed', steps: 1, steps_done: 1, ...listed },
    ],
    next_cursor: 'MTIz',
  } as const;

  test('is aligned, and tells how to go on', () => {
    expect(plain(listLines(page, 'reeve', NOW, Infinity))).toEqual([
      'JOB         STATUS            STEPS  NAME     UPDATED',
      'release_42  blocked_decision   3/12  nightly  4m ago',
      'x           completed           1/1  日本     4m ago',
      'more: add --cursor MTIz',
    ]);
  });

  test('a narrow terminal cuts names before ids', () => {
    const long = { jobs: [{ ...page.jobs[0], name: 'the nightly release of everything' }] };
    expect(plain(listLines(long, 'reeve', NOW, 56), 56)).toEqual([
      'JOB         STATUS            STEPS  NAME        UPDATED',
      'release_42  blocked_decision   3/12  the night…  4m ago',
    ]);
  });

  test('without jobs it says how to make one', () => {
    expect(plain(listLines({ jobs: [] }, 'reeve', NOW, 80))).toEqual([
      'no jobs yet: reeve submit jobspec.yaml',
    ]);
  });
});

describe('progress', () => {
  const at = (view: JobView): string[] => plain(progressLines(view, { nowMs: NOW, spinner: '⠋', width: 80 }));

  test('shows the step, how far it is, and the nearest limit', () => {
    expect(at(jobView())).toEqual([
      '⠋ transform  4.2s  1/3 steps · 1m 05s',
      '  tool calls  ████████████████░░░░  8 of 10',
    ]);
  });

  test('tells a repeated step, and several at a time', () => {
    const steps = [running(0, 'a', 100, { attempts: 3 }), running(1, 'b'), running(2, 'c')];
    expect(at(jobView({ steps, budget: [] }))).toEqual(['⠋ a and 2 more try 3  0.1s  0/3 steps · 1m 05s']);
  });

  test('between steps it shows the status', () => {
    expect(at(jobView({ steps: [done(0, 'a')], budget: [] }))).toEqual(['⠋ running  1/1 steps · 1m 05s']);
  });
});

describe('a live view', () => {
  const many = jobView({
    steps: [
      done(0, 'collect'),
      running(1, 'transform'),
      ...Array.from({ length: 60 }, (_, at) => step(at + 2, `part ${at}`)),
    ],
  });

  test.each([1, 4, 8, 12, 24, 50])('fits into %i rows', (rows) => {
    const lines = plain(liveLines(many, { call: CALL, nowMs: NOW, width: 79, spinner: '⠋' }, rows), 79);
    expect(lines.length).toBeLessThanOrEqual(rows);
    if (rows >= 8) expect(lines).toContain('   2  transform  ⠋ running      1  4.2s');
  });
});

describe('changes', () => {
  const told = (log: ChangeLog, view: JobView): string[] =>
    log
      .next(view)
      .map(({ atMs, kind, id, summary, status }) => [atMs - NOW, kind, id, summary, status].join(' '));

  test('the first view gives what has happened so far, the next ones what is new', () => {
    const log = new ChangeLog();
    expect(told(log, jobView())).toEqual([
      '-64000 checkpoint cp_4 plan: collect, transform, publish running',
      '-59600 step 0:collect collect done in 0.4s running',
      '-5000 checkpoint cp_8 progress: data collected running',
      '-4200 step 1:transform transform running running',
      '-4200 status release_42 running running',
    ]);
    expect(told(log, jobView())).toEqual([]);
    const failed = step(1, 'transform', {
      attempts: 1,
      startedAtMs: NOW - 4200,
      endedAtMs: NOW,
      lastOutcome: 'failed',
      exitCode: 3,
    });
    expect(told(log, jobView({ steps: [done(0, 'collect'), failed] }))).toEqual([
      '0 step 1:transform transform failed in 4.2s (exit 3) running',
    ]);
    expect(
      told(log, jobView({ steps: [done(0, 'collect'), running(1, 'transform', -500, { attempts: 2 })] })),
    ).toEqual(['500 step 1:transform transform running, try 2 running']);
  });

  test('a decision, its approval, and the step that it held', () => {
    const log = new ChangeLog();
    told(log, jobView());
    expect(told(log, DECIDING)).toEqual([
      '-4200 status release_42 blocked_decision blocked_decision',
      '0 step 1:review review awaits approval in 0.0s blocked_decision',
    ]);
    const checkpoints = DECIDING.checkpoints.map((each) =>
      each.id === 'cp_12' ? { ...each, approvedBy: 'anna' } : each,
    );
    const steps = DECIDING.steps.map((each) => ({ ...each, awaitsApproval: false }));
    expect(told(log, { ...DECIDING, updatedAtMs: NOW + 9, openDecisions: [], checkpoints, steps })).toEqual([
      '9 step 1:review review done in 0.0s blocked_decision',
      '9 approval cp_12 by anna blocked_decision',
    ]);
  });
});
