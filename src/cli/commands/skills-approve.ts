/** `reeve skills approve`: lets one destructive task act (contract agents §5). Its agent decides whether the key counts. */
import { basename } from 'node:path';
import { timestamp } from '../../doors/agents/ids.ts';
import { isFinal, type TaskView } from '../../doors/agents/wire/tasks.ts';
import { ReeveError } from '../../model/errors.ts';
import { signApproval, textOf } from '../../policy/allow-list/sign.ts';
import type { CommandHandler, Flags } from '../command.ts';
import { askControl, controlAddress } from '../agents/control-client.ts';
import { escapeControls } from '../output.ts';
import { signingKey } from '../signing.ts';

const MINUTES_DEFAULT = 60;
const MINUTES_MAX = 7 * 24 * 60;

export const skillsApprove: CommandHandler = async (ctx, { args: [id = ''], flags }) => {
  const minutes = flags.number('minutes') ?? MINUTES_DEFAULT;
  if (minutes < 1 || minutes > MINUTES_MAX)
    throw new ReeveError('E_USAGE', `--minutes must be 1 to ${MINUTES_MAX}`, {
      flag: '--minutes',
      value: minutes,
    });
  const approver = approverOf(flags);
  const key = await signingKey(ctx, flags);
  const address = await controlAddress(ctx, flags);
  const path = `/tasks/${encodeURIComponent(id)}`;
  const { json } = await askControl(ctx, address, { method: 'GET', path });
  const { status, skill, args, target } = json as TaskView;
  const digest = skill?.digest;
  if (skill === undefined || digest === undefined)
    throw new ReeveError('E_USAGE', `task ${id} runs no skill: there is nothing to approve`, { task_id: id });
  if (isFinal(status))
    throw new ReeveError('E_USAGE', `task ${id} is ${status} already`, { task_id: id, status });
  const expected = flags.text('digest');
  if (expected !== undefined && expected !== digest)
    throw new ReeveError('E_USAGE', `task ${id} runs the package ${digest}, not ${expected}`, {
      flag: '--digest',
      value: expected,
    });
  const expires_at = timestamp(Date.now() + minutes * 60_000);
  const approval = { task_id: id, digest, approver, expires_at };
  await askControl(ctx, address, {
    method: 'PUT',
    path: `${path}/approval`,
    body: textOf(signApproval(approval, key)),
    headers: { 'content-type': 'application/octet-stream' },
  });
  return {
    json: { ...approval, skill, args, target },
    text: [
      `approved ${escapeControls(id)}: ${skill.name}@${skill.version} ${digest}`,
      `args=${escapeControls(JSON.stringify(args))} target=${escapeControls(JSON.stringify(target))}`,
      `as ${escapeControls(approver)}, until ${expires_at}`,
    ],
  };
};

/** The name that agents know the key by: of a plain key, its file's. @throws ReeveError E_USAGE */
function approverOf(flags: Flags): string {
  const file = flags.text('key');
  const name =
    flags.text('approver')?.trim() ?? (file === undefined ? '' : basename(file).replace(/\.pem$/, ''));
  if (name !== '') return name;
  throw new ReeveError('E_USAGE', 'give --approver: the name that agents know the key by', {
    flag: '--approver',
  });
}
