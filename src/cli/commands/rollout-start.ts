/** `reeve rollout start`: a rollout of flags, of a file, or of both. */
import { NEW_ROLLOUT, type NewRollout } from '../../doors/agents/wire/rollouts.ts';
import { problemsOf } from '../../doors/validate.ts';
import { ReeveError } from '../../model/errors.ts';
import { documentIn, objectOf } from '../documents.ts';
import type { CliContext, CommandHandler, Flags } from '../command.ts';
import { askControl, controlAddress } from '../agents/control-client.ts';
import { shownRollout } from './rollout-show.ts';
import { waitFor } from './rollout-wait.ts';
import type { RolloutView } from '../../doors/agents/wire/rollouts.ts';

export const rolloutStart: CommandHandler = async (ctx, { args: [name], flags }) => {
  const request = await requestOf(ctx, flags, name);
  if (!('skill' in request || 'command' in request))
    throw new ReeveError(
      'E_USAGE',
      'rollout start needs --skill name@version, or --spec with a skill or command',
      {
        flag: '--skill',
      },
    );
  if ('target' in request && Object.keys(request.target ?? {}).length === 0)
    throw new ReeveError(
      'E_USAGE',
      'rollout start needs agents: --label name=text, --agent, or --spec with a target',
      {
        flag: '--label',
      },
    );
  const [wrong] = await problemsOf(NEW_ROLLOUT, request);
  if (wrong !== undefined)
    throw new ReeveError('E_USAGE', `the rollout: ${wrong.field || 'it'} ${wrong.problem}`, { ...wrong });
  const address = await controlAddress(ctx, flags);
  const { json } = await askControl(ctx, address, { method: 'POST', path: '/rollouts', json: request });
  const { rollout_id: id } = json as { readonly rollout_id: string };
  if (flags.on('wait') && !flags.on('draft')) {
    if (!ctx.json) ctx.stderr.write(`${id}\n`);
    return waitFor(ctx, address, { id, until: 'review', timeoutS: flags.number('timeout') });
  }
  const created = await askControl(ctx, address, { method: 'GET', path: `/rollouts/${id}` });
  const view = created.json as RolloutView;
  return { ...shownRollout(ctx, view), exitCode: view.state === 'failed' ? 1 : 0 };
};

/** @throws ReeveError E_USAGE */
async function requestOf(ctx: CliContext, flags: Flags, name: string | undefined): Promise<object> {
  const file = flags.text('spec');
  const spec = (file === undefined ? {} : await documentIn(ctx, file, '--spec')) as Partial<NewRollout>;
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec))
    throw new ReeveError('E_USAGE', '--spec: the file holds no object', { flag: '--spec' });
  const skill = flags.text('skill') === undefined ? spec.skill : skillOf(flags.text('skill') ?? '');
  const [labels, canaryLabels] = [
    await objectOf(ctx, flags.texts('label'), '--label'),
    await objectOf(ctx, flags.texts('canary-label'), '--canary-label'),
  ];
  const agents = flags.texts('agent');
  const canary = {
    ...spec.canary,
    ...given('count', flags.number('canary-count')),
    ...given('percent', flags.number('canary-percent')),
    ...(Object.keys(canaryLabels).length === 0 ? {} : { labels: canaryLabels }),
  };
  const health = flags.text('health-url');
  const criteria = {
    ...spec.criteria,
    ...given('min_success_rate', flags.number('min-success-rate')),
    ...given('max_failures', flags.number('max-failures')),
    ...given('bake_s', flags.number('bake-seconds')),
    ...given('deadline_s', flags.number('deadline-seconds')),
    ...(health === undefined ? {} : { health_gate: { url: health } }),
  };
  const target = {
    ...spec.target,
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(agents.length === 0 ? {} : { agent_ids: agents }),
  };
  return {
    ...spec,
    ...given('name', name ?? spec.name ?? skill?.name),
    ...given('skill', skill),
    ...(flags.texts('arg').length === 0 ? {} : { args: await objectOf(ctx, flags.texts('arg'), '--arg') }),
    ...(Object.keys(target).length === 0 && file !== undefined ? {} : { target }),
    ...given('environment', flags.text('environment')),
    ...(Object.keys(canary).length === 0 ? {} : { canary }),
    ...(Object.keys(criteria).length === 0 ? {} : { criteria }),
    ...given('batch_size', batchSizeOf(flags)),
    ...(flags.on('no-auto-abort') ? { auto_abort: false } : {}),
    ...(flags.on('auto-promote') ? { auto_promote: true } : {}),
    ...(flags.on('draft') ? { start: false } : {}),
  };
}

/** @throws ReeveError E_USAGE */
function batchSizeOf(flags: Flags): number | string | undefined {
  const text = flags.text('batch-size');
  if (text === undefined || /^\d{1,9} ?%$/.test(text)) return text;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new ReeveError(
    'E_USAGE',
    `--batch-size is ${JSON.stringify(text)}; it is a number of agents, or a share such as 25%`,
    {
      flag: '--batch-size',
      value: text,
    },
  );
}

function given(name: string, value: unknown): object {
  return value === undefined ? {} : { [name]: value };
}

/** @throws ReeveError E_USAGE */
function skillOf(text: string): { readonly name: string; readonly version: string } {
  const [, name, version] = /^([^@]+)@([^@]+)$/.exec(text) ?? [];
  if (name !== undefined && version !== undefined) return { name, version };
  throw new ReeveError('E_USAGE', '--skill is written name@version', {
    flag: '--skill',
    value: text,
  });
}
