import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { builtinTypes } from '../../doors/arp/registry/builtin-types.ts';
import { policyRequest } from '../../doors/arp/pdp/context.ts';
import { NODE_TYPE, type NodeType } from '../../doors/arp/wire/core.ts';
import { POLICY_DECISION_REQUEST, type PolicyDecisionRequest } from '../../doors/arp/wire/requests.ts';
import { fieldErrors } from '../../doors/arp/wire/validate.ts';
import { ReeveError } from '../../model/errors.ts';
import { loadPolicy } from '../../policy/arp-policy/load.ts';
import type { CliContext, CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';

/** A dry run of the PDP: the same context, the same engine, and nobody is asked. */
export const policyTest: CommandHandler = async (ctx, { args: [file = ''], flags }) => {
  const engine = await loadPolicy(resolve(ctx.cwd, file));
  const request = (await documentOf(ctx, {
    flag: '--request',
    given: flags.text('request') ?? '',
    schema: POLICY_DECISION_REQUEST,
  })) as PolicyDecisionRequest;
  const nodeType = await nodeTypeOf(ctx, request, flags.text('node-type'));
  const asked = policyRequest(request, nodeType, { trustClientResource: false });
  const { decision, reason, message, statements } = engine.decide(asked);
  const [first] = statements;
  const places = `${statements.join(', ')} of ${engine.size}`;
  return {
    json: {
      decision,
      reason_code: reason,
      ...(message === undefined ? {} : { message }),
      statements,
      action: asked.action,
      resource: asked.resource,
      language: engine.language,
      policy_hash: engine.hash,
      ...(engine.version === undefined ? {} : { policy_version: engine.version }),
    },
    text: [
      `${decision} ${reason}`,
      `  action:    ${escapeControls(asked.action)}`,
      `  resource:  ${escapeControls(asked.resource)}`,
      `  statement: ${first === undefined ? 'none applies' : places}${
        message === undefined ? '' : ` (${escapeControls(message)})`
      }`,
      `  policy:    ${engine.language} sha256:${engine.hash}`,
    ],
  };
};

/** @throws ReeveError E_INVALID_INPUT_SCHEMA when the request names a type that nobody described. */
async function nodeTypeOf(
  ctx: CliContext,
  { node_type_ref: ref }: PolicyDecisionRequest,
  given: string | undefined,
): Promise<NodeType | undefined> {
  if (given !== undefined)
    return (await documentOf(ctx, { flag: '--node-type', given, schema: NODE_TYPE })) as NodeType;
  if (ref === undefined) return undefined;
  const found = builtinTypes(ref.version).find(({ node_type_id: id }) => id === ref.node_type_id);
  if (found !== undefined) return found;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `${ref.node_type_id} is no built-in node type: describe it with --node-type`,
    { flag: '--node-type', value: ref.node_type_id },
  );
}

interface Given {
  readonly flag: string;
  /** JSON, or the name of a file with JSON. */
  readonly given: string;
  readonly schema: object;
}

async function documentOf(ctx: CliContext, { flag, given, schema }: Given): Promise<unknown> {
  if (given.trim() === '') throw refusal(flag, 'is missing');
  const text = given.trim().startsWith('{') ? given : await textIn(ctx, flag, given);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refusal(flag, 'is no JSON');
  }
  const [wrong] = await fieldErrors(schema, value, []);
  if (wrong !== undefined) throw refusal(flag, `is not valid: ${wrong.loc.join('.') || 'it'} ${wrong.msg}`);
  return value;
}

async function textIn(ctx: CliContext, flag: string, path: string): Promise<string> {
  try {
    return await readFile(resolve(ctx.cwd, path), 'utf8');
  } catch (error) {
    throw refusal(
      flag,
      `names a file that cannot be read (${(error as NodeJS.ErrnoException).code}): ${path}`,
    );
  }
}

function refusal(flag: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${flag} ${problem}`, { flag, problem });
}
