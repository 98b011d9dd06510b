import { registryClient } from '../../doors/arp/clients/registry-client.ts';
import { isOver } from '../../doors/arp/clients/runs-client.ts';
import { CONSTRAINT_ENVELOPE } from '../../doors/arp/wire/core.ts';
import { ArpError } from '../../doors/arp/wire/errors.ts';
import { RUN_START_REQUEST, type RunStartRequest } from '../../doors/arp/wire/requests.ts';
import type { InternalNodeRun, InternalRun } from '../../doors/arp/wire/runs.ts';
import { ReeveError } from '../../model/errors.ts';
import { asking, clearError, registriesFor, shownUrl, type Place } from '../arp/client.ts';
import { jsonOrFile, objectOf, requireShape } from '../documents.ts';
import type { CliContext, CommandHandler, Flags } from '../command.ts';
import { interruptedBy } from '../interrupt.ts';
import { errorOf } from '../arp/run-tree.ts';
import { runLines } from '../ui/run.ts';
import { painted, printEvents, runServiceOf, shownRun } from './runs.ts';

/** Starts a run; with `--follow` its end decides how the command ends. */
export const runsStart: CommandHandler = async (ctx, { args: [type = ''], flags }) => {
  const service = await runServiceOf(ctx, flags);
  const { place, runs } = service;
  const request = await requestOf(ctx, flags, place, type);
  const started = await asking(place, () => runs.start(request));
  if (!flags.on('follow')) {
    const text = painted(ctx, runLines(started, undefined, Date.now()));
    return { json: { run: started }, text, ...endOf(started, undefined) };
  }
  const { run_id: id } = started;
  if (!ctx.json) ctx.stdout.write(`${painted(ctx, [[id]])[0] ?? ''}\n`);
  const sink = ctx.json ? { sink: (): void => undefined } : {};
  const from = { after: 0, follow: true };
  const isWhole = await asking(place, () => printEvents(ctx, { runs, id, from, ...sink }));
  if (!isWhole) {
    ctx.stderr.write(`${painted(ctx, [['the run goes on: ', id]])[0] ?? ''}\n`);
    return interruptedBy(ctx.signal);
  }
  const run = await asking(place, () => runs.run(id));
  const { root, ...shown } = await shownRun(ctx, service, run);
  return { ...shown, ...endOf(run, root) };
};

/** A run that is over and did not succeed is an error: the exit code tells it. */
function endOf(run: InternalRun, root: InternalNodeRun | undefined): { readonly error?: ReeveError } {
  const { run_id: id, state } = run;
  if (!isOver(run) || state === 'succeeded') return {};
  const error = root === undefined ? undefined : errorOf(root);
  const why = error === undefined ? '' : `: ${error.code}: ${error.message}`;
  const details = { run_id: id, state, ...(error === undefined ? {} : { run_error: error }) };
  return {
    error: new ReeveError(
      state === 'canceled' ? 'E_RUN_CANCELED' : 'E_RUN_FAILED',
      `run ${id} ${state}${why}`,
      details,
    ),
  };
}

async function requestOf(
  ctx: CliContext,
  flags: Flags,
  place: Place,
  type: string,
): Promise<RunStartRequest> {
  const input = await objectOf(ctx, flags.texts('input'), '--input');
  const given = flags.text('constraints');
  const constraints = given === undefined ? undefined : await jsonOrFile(ctx, given, '--constraints');
  if (constraints !== undefined) await requireShape(CONSTRAINT_ENVELOPE, constraints, '--constraints');
  const runId = flags.text('run-id');
  const tenant = flags.text('tenant');
  const request = {
    root_node_type_ref: await refOf(ctx, flags, place, type),
    input,
    ...(runId === undefined ? {} : { run_id: runId }),
    ...(tenant === undefined ? {} : { run_context: { tenant_id: tenant } }),
    ...(constraints === undefined ? {} : { constraints }),
  };
  await requireShape(RUN_START_REQUEST, request, 'the request');
  return request as RunStartRequest;
}

/** `<id>@<version>`; without a version the highest that the registry has. An id may begin with an `@`. */
async function refOf(
  ctx: CliContext,
  flags: Flags,
  place: Place,
  text: string,
): Promise<RunStartRequest['root_node_type_ref']> {
  const at = text.lastIndexOf('@');
  const [id, version] = at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [text, undefined];
  if (id === '' || version === '')
    throw refusal(`${JSON.stringify(text.slice(0, 200))} is no node type; write <id>@<version>`, text);
  if (version !== undefined) return { node_type_id: id, version };
  const told: string[] = [];
  for (const registry of await registriesFor(ctx, flags, place)) {
    try {
      const { node_type_id: found, version: highest } = await registryClient(registry).get(id);
      return { node_type_id: found, version: highest };
    } catch (error) {
      if (!(error instanceof ArpError)) throw error;
      if (error.wireCode === 'node_type_not_found') throw clearError(registry, error);
      told.push(`${shownUrl(registry.baseUrl)}: ${error.message}`);
    }
  }
  throw refusal(
    `no version of ${id} is given, and no registry says the highest: write ${id}@<version>, or set ` +
      `JARVIS_NODE_REGISTRY_URL (${told.join('; ')})`,
    text,
  );
}

function refusal(message: string, value: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', message, {
    argument: 'node-type',
    value: value.slice(0, 200),
  });
}
