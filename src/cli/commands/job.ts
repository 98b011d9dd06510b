import { inspectJob } from '../../doors/jobs/pack.ts';
import { diffJobpacks } from '../../evidence/diff.ts';
import { inspectJobpack } from '../../evidence/inspect.ts';
import type { CommandHandler } from '../command.ts';
import { cutSummary, escapeControls } from '../output.ts';
import { trustOf } from './story-pack.ts';
import { outDirOf, packNamed, packThere } from './verify.ts';

export const jobInspect: CommandHandler = async (ctx, { args, flags }) => {
  const { path, jobId } = await packNamed(ctx, args[0] ?? '', outDirOf(ctx, flags));
  const inspection =
    jobId === undefined
      ? await inspectJobpack(path, trustOf(flags))
      : await inspectJob(await ctx.jobs(), jobId);
  const { job_id: id, status, event_count, checkpoint_count, approval_count, timeline } = inspection;
  return {
    json: inspection,
    text: [
      `job=${escapeControls(id)} status=${escapeControls(status)} events=${event_count} checkpoints=${checkpoint_count} approvals=${approval_count}`,
      ...timeline.map(
        (item) => `${item.at} ${item.kind} ${escapeControls(item.id)} ${cutSummary(item.summary)}`,
      ),
    ],
  };
};

export const jobDiff: CommandHandler = async (ctx, { args, flags }) => {
  const [a, b] = [
    await packThere(ctx, args[0] ?? '', ctx.outDir),
    await packThere(ctx, args[1] ?? '', ctx.outDir),
  ];
  const { jobIdA, jobIdB, added, removed, changed } = await diffJobpacks(a, b, trustOf(flags));
  return {
    json: { job_id_a: jobIdA, job_id_b: jobIdB, added, removed, changed },
    text: [
      `job_a=${escapeControls(jobIdA)} job_b=${escapeControls(jobIdB)} added=${added.length} removed=${removed.length} changed=${changed.length}`,
    ],
  };
};
