import { parsePositiveDuration } from '../../doors/jobs/duration.ts';
import { JobReplay, parsePlace, replayTo, type ReplayStep } from '../../doors/jobs/replay.ts';
import { formatTime } from '../../doors/jobs/time.ts';
import { PackReplay } from '../../evidence/replay.ts';
import { telling } from '../../evidence/telling.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, CommandHandler, Flags } from '../command.ts';
import { escapeControls } from '../output.ts';
import { playPack, type Pace } from '../ui/replay.ts';
import { isLive } from '../ui/screen.ts';
import { pastLines } from '../ui/status.ts';
import { trustOf, withPack } from './story-pack.ts';

const LINES_AT_A_TIME = 500;

export const replay: CommandHandler = async (ctx, { args, flags }) => {
  const at = flags.text('at');
  const place = at === undefined ? undefined : parsePlace(at);
  const pace = paceOf(ctx, flags);
  return withPack(ctx, args[0] ?? '', flags, async (path) => {
    const pack = await PackReplay.open(path, trustOf(flags));
    try {
      if (place !== undefined) {
        const { replay: job, nowMs } = await replayTo(pack, place);
        return telling('the pack', () => ({
          json: job.response(),
          text: pastLines(ctx, job.view(nowMs), nowMs),
        }));
      }
      if (isLive(ctx.stdout, ctx)) await playPack(ctx, pack, pace);
      else await printSteps(ctx, pack);
      return {};
    } finally {
      await pack.close();
    }
  });
};

function paceOf(ctx: CliContext, flags: Flags): Pace {
  const given = flags.text('max-pause') ?? '1s';
  const maxPauseMs = parsePositiveDuration(given);
  const speed = flags.number('speed') ?? 4;
  if (maxPauseMs === undefined) throw refusal('max-pause', given, 'needs a duration such as 1s or 200ms');
  if (speed <= 0) throw refusal('speed', String(speed), 'must be above 0');
  const isStepped = flags.on('step');
  if (isStepped && (!isLive(ctx.stdout, ctx) || !process.stdin.isTTY)) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', '--step needs a terminal', { flag: '--step' });
  }
  return { speed, maxPauseMs, isStepped };
}

function refusal(flag: string, value: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `--${flag} ${problem}, not ${JSON.stringify(value)}`, {
    flag: `--${flag}`,
    value,
  });
}

/** A line for each event: when, which, how the job stands after it, what it did. */
async function printSteps(ctx: CliContext, pack: PackReplay): Promise<void> {
  const job = new JobReplay(pack);
  let lines: string[] = [];
  const flush = (): void => {
    if (lines.length > 0) ctx.stdout.write(lines.join(''));
    lines = [];
  };
  for await (const event of pack.events()) {
    const step = job.add(event);
    const text = telling(`event ${event.seq} of the pack`, () =>
      ctx.json ? JSON.stringify(recordOf(step)) : textOf(step),
    );
    lines.push(`${text}\n`);
    if (lines.length >= LINES_AT_A_TIME) flush();
  }
  flush();
}

function textOf({ seq, atMs, status, steps, stepsDone, summary }: ReplayStep): string {
  return `${formatTime(atMs)} evt_${seq} ${status} ${stepsDone}/${steps} ${escapeControls(summary)}`;
}

function recordOf(step: ReplayStep): object {
  const { seq, atMs, type, summary, status, steps, stepsDone, openDecisions, used } = step;
  return {
    event_id: `evt_${seq}`,
    at: formatTime(atMs),
    type,
    summary,
    status,
    steps,
    steps_done: stepsDone,
    open_decisions: openDecisions,
    used: {
      wall_time_ms: used.wallMs,
      steps: used.steps,
      retries: used.retries,
      tool_calls: used.toolCalls,
      tokens: used.tokens,
      estimated_cost: used.costMicros / 1_000_000,
    },
  };
}
