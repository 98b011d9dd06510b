/** The built-in nodes `jarvis.core.*` (contract arp §7.4); their types stand in the registry. */
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { canonicalJson } from '../../../model/canonical.ts';
import { builtinTypes } from '../registry/builtin-types.ts';
import { wireTime } from '../wire/ids.ts';
import type { AtomicNode, NodeCall } from './node.ts';
import { fetchNode, type FetchRules } from './web/fetch-node.ts';

type Inputs = Readonly<Record<string, unknown>>;
type Outputs = Readonly<Record<string, unknown>>;

/** @param version of their types. */
export function builtinNodes(
  version: string,
  world: { readonly fetchRules: FetchRules; nowMs(): number },
): readonly AtomicNode[] {
  const handlers: Readonly<Record<string, (inputs: Inputs, call: NodeCall) => Outputs | Promise<Outputs>>> = {
    'jarvis.core.echo': echo,
    'jarvis.core.sleep': sleep,
    'jarvis.core.uuid4': () => ({ uuid: randomUUID() }),
    'jarvis.core.time.now': () => ({ time: wireTime(world.nowMs()) }),
    'jarvis.core.hash.sha256': ({ text }) => ({
      sha256: createHash('sha256')
        .update(text as string)
        .digest('hex'),
    }),
    'jarvis.web.fetch': fetchNode(world.fetchRules),
  };
  return builtinTypes(version).flatMap((nodeType): AtomicNode[] => {
    const handler = handlers[nodeType.node_type_id];
    if (handler === undefined) return [];
    return [
      {
        nodeType,
        ...(handler === echo ? { takesAnything: true } : {}),
        execute: async (inputs, call) => ({ outputs: await handler(inputs, call) }),
      },
    ];
  });
}

function echo(inputs: Inputs): Outputs {
  return { echo: typeof inputs['echo'] === 'string' ? inputs['echo'] : canonicalJson(inputs) };
}

async function sleep({ seconds }: Inputs, { signal }: NodeCall): Promise<Outputs> {
  await delay((seconds as number) * 1000, undefined, { signal });
  return { slept_seconds: seconds };
}
