/** `reeve nodes list|publish`: the node types of a registry. */
import { registryClient } from '../../doors/arp/clients/registry-client.ts';
import type { NodeTypeQuery, NodeTypes } from '../../doors/arp/registry/node-types.ts';
import { NODE_TYPE, type NodeType } from '../../doors/arp/wire/core.ts';
import { ArpError } from '../../doors/arp/wire/errors.ts';
import { canonicalJson } from '../../model/canonical.ts';
import { ReeveError } from '../../model/errors.ts';
import { askRegistry } from '../arp/client.ts';
import { documentIn, requireShape } from '../documents.ts';
import type { CliContext, CommandHandler } from '../command.ts';
import { widthOf } from '../ui/screen.ts';
import { table } from '../ui/table.ts';
import { styled, type Line } from '../ui/text.ts';
import { painted } from './runs.ts';

export const nodesList: CommandHandler = async (ctx, { flags }) => {
  const kind = flags.text('kind');
  if (kind !== undefined && kind !== 'atomic' && kind !== 'composite')
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `--kind is ${JSON.stringify(kind)}; it is atomic or composite`,
      { flag: '--kind', value: kind },
    );
  const q = flags.text('q');
  const query: NodeTypeQuery = { ...(q === undefined ? {} : { q }), ...(kind === undefined ? {} : { kind }) };
  const found = await askRegistry(ctx, flags, (place) => registryClient(place).list(query));
  const rows = found.map(({ node_type_id: id, version, kind: is, description = '' }) => [
    id,
    version,
    is,
    styled(description.split('\n')[0] ?? '', 'dim'),
  ]);
  const columns = [
    { title: 'NODE TYPE', min: 16 },
    { title: 'VERSION', min: 5 },
    { title: 'KIND' },
    { title: 'DESCRIPTION', min: 8 },
  ];
  const lines: readonly Line[] =
    rows.length === 0
      ? [['no node types', ...(q === undefined && kind === undefined ? [' yet'] : [' fit'])]]
      : table(columns, rows, widthOf(ctx.stdout));
  return { json: { node_types: found }, text: painted(ctx, lines) };
};

interface Outcome {
  readonly node_type_id: string;
  readonly version: string;
  readonly outcome: 'published' | 'skipped';
}

/** All files are read and checked before anything is published. What is published stays, also when a later one fails. */
export const nodesPublish: CommandHandler = async (ctx, { args, flags }) => {
  const types: NodeType[] = [];
  for (const file of args) types.push(...(await typesIn(ctx, file)));
  const done: Outcome[] = [];
  for (const type of types) {
    const { node_type_id, version } = type;
    try {
      const outcome = await askRegistry(ctx, flags, (place) =>
        publish(registryClient(place), type, flags.on('skip-existing')),
      );
      done.push({ node_type_id, version, outcome });
    } catch (error) {
      if (!(error instanceof ReeveError) || types.length === 1) throw error;
      const message = `${error.message} (${done.length} of ${types.length} were dealt with before)`;
      throw new ReeveError(error.code, message, { ...error.details, done }, { cause: error });
    }
  }
  return {
    json: { node_types: done },
    text: painted(
      ctx,
      done.map(({ node_type_id: id, version, outcome }) => [
        styled(outcome.padEnd(9), outcome === 'published' ? 'green' : 'dim'),
        '  ',
        `${id}@${version}`,
      ]),
    ),
  };
};

async function typesIn(ctx: CliContext, file: string): Promise<readonly NodeType[]> {
  const document = await documentIn(ctx, file, '<file>');
  const list: readonly unknown[] = Array.isArray(document) ? document : [document];
  for (const [at, each] of list.entries())
    await requireShape(NODE_TYPE, each, Array.isArray(document) ? `${file} [${at}]` : file);
  return list as readonly NodeType[];
}

async function publish(
  registry: NodeTypes,
  type: NodeType,
  skipExisting: boolean,
): Promise<Outcome['outcome']> {
  try {
    await registry.publish(type);
    return 'published';
  } catch (error) {
    if (!(error instanceof ArpError) || error.wireCode !== 'node_type_already_exists') throw error;
    const { node_type_id: id, version } = type;
    const there = await registry.get(id, version);
    const isSame = canonicalJson(there) === canonicalJson(type);
    if (isSame && skipExisting) return 'skipped';
    const advice = isSame
      ? 'with the same content; --skip-existing passes over it'
      : 'with other content; give it a new version';
    throw new ArpError(error.status, error.wireCode, `${id}@${version} is published already, ${advice}`, {
      details: { node_type_id: id, version, identical: isSame },
    });
  }
}
