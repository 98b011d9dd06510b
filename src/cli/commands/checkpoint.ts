import { emitCheckpoint } from '../../doors/jobs/control.ts';
import { approvalsOf, bindingOf, listCheckpoints, showCheckpoint } from '../../doors/jobs/read.ts';
import { parseStatus } from '../../doors/jobs/map.ts';
import { ReeveError } from '../../model/errors.ts';
import type { JsonObject } from '../../model/json.ts';
import { CHECKPOINT_TYPES } from '../../model/node.ts';
import type { CommandHandler } from '../command.ts';
import { cutSummary, escapeControls, fieldText } from '../output.ts';

function headLine(record: JsonObject): string {
  return `checkpoint=${fieldText(record, 'checkpoint_id')} type=${fieldText(record, 'type')} status=${fieldText(record, 'status')}`;
}

export const checkpointList: CommandHandler = async (ctx, { args }) => {
  const records = await listCheckpoints(await ctx.jobs(), args[0] ?? '');
  return {
    json: records,
    text: records.map((record) => `${headLine(record)} summary=${cutSummary(fieldText(record, 'summary'))}`),
  };
};

export const checkpointShow: CommandHandler = async (ctx, { args }) => {
  const jobs = await ctx.jobs();
  const record = await showCheckpoint(jobs, args[0] ?? '', args[1] ?? '');
  // The record's schema is closed; the lines of `wrkr` are fixed too.
  const isOurs = ctx.program === 'reeve' && !ctx.json;
  const [id, checkpoint] = [fieldText(record, 'job_id'), fieldText(record, 'checkpoint_id')];
  const binds = isOurs ? await bindingOf(jobs, id, checkpoint) : undefined;
  const approvals = isOurs ? await approvalsOf(jobs, id, checkpoint) : [];
  const codes = record['reason_codes'] as readonly string[];
  return {
    json: record,
    text: [
      headLine(record),
      `summary=${cutSummary(fieldText(record, 'summary'))}`,
      ...(codes.length === 0 ? [] : [`reason_codes=${cutSummary(codes.join(','))}`]),
      ...(binds === undefined ? [] : [`binds=${binds}`]),
      ...approvals.map(({ by, keyIds }) => {
        const signed = keyIds.length === 0 ? '' : ` signed_by=${keyIds.join(',')}`;
        return `approved_by=${cutSummary(by)}${escapeControls(signed)}`;
      }),
    ],
  };
};

export const checkpointEmit: CommandHandler = async (ctx, { args, flags }) => {
  const type = CHECKPOINT_TYPES.find((known) => known === flags.text('type'));
  if (type === undefined) {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `--type must be one of ${CHECKPOINT_TYPES.join(', ')}`, {
      flag: '--type',
      value: flags.text('type') ?? null,
    });
  }
  const status = flags.text('status');
  const kind = flags.text('required-kind');
  const instructions = flags.text('required-instructions');
  const record = await emitCheckpoint(await ctx.jobs(), {
    jobId: args[0] ?? '',
    type,
    summary: flags.text('summary') ?? '',
    reasonCodes: flags
      .texts('reason-code')
      .map((code) => code.trim())
      .filter((code) => code !== ''),
    ...(status === undefined ? {} : { status: parseStatus(status) }),
    ...(kind === undefined && instructions === undefined
      ? {}
      : {
          requiredAction: {
            ...(kind === undefined ? {} : { kind }),
            ...(instructions === undefined ? {} : { instructions }),
          },
        }),
  });
  return { json: record, text: [headLine(record)] };
};
