/** An atomic executor as `serve` puts it together, for tests. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { assembleNodes, type Assembly } from '../../../src/doors/arp/atomic/assemble.ts';
import { AtomicExecutor, type AtomicExecutorOptions } from '../../../src/doors/arp/atomic/executor.ts';
import type { AtomicExecuteResult } from '../../../src/doors/arp/wire/requests.ts';
import { WORLD, type Stack } from './support.ts';

export interface Assembled {
  readonly assembly: Assembly;
  readonly executor: AtomicExecutor;
  readonly notes: string[];
  /** One node run; its id is new unless it is given. */
  run(type: string, inputs?: object, id?: string): Promise<AtomicExecuteResult>;
}

export interface Given {
  readonly config?: object;
  readonly plugins?: readonly string[];
  readonly allow?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly executor?: Partial<AtomicExecutorOptions>;
}

export async function write(stack: Stack, name: string, text: string): Promise<string> {
  const file = stack.path(name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

export async function assembled(stack: Stack, given: Given = {}): Promise<Assembled> {
  const { config, plugins = [], allow = [], env = process.env } = given;
  const notes: string[] = [];
  const note = (text: string): void => void notes.push(text);
  const assembly = await assembleNodes({
    ...WORLD,
    ...(config === undefined
      ? {}
      : { configFile: await write(stack, 'atomic.json', JSON.stringify(config)) }),
    plugins,
    allowedHosts: allow,
    cwd: stack.dir,
    env,
    dir: stack.path('commands'),
    stackVersion: '1.0.0',
    note,
  });
  const executor = new AtomicExecutor({
    ...WORLD,
    nodes: assembly.nodes,
    note,
    cancelElsewhere: (id) => assembly.cancel(id),
    ...given.executor,
  });
  stack.atEnd(async () => {
    await executor.stop(0);
    await assembly.close();
  });
  let count = 0;
  return {
    assembly,
    executor,
    notes,
    run(type, inputs = {}, id = `node_run_${(count += 1)}`) {
      const node_type_ref = { node_type_id: type, version: '1' };
      const request = { node_run_id: id, run_id: 'run_1', node_type_ref, inputs: { ...inputs } };
      return executor.execute(request, new AbortController().signal);
    },
  };
}

/** Waits until `look` gives something; the test's own limit of time ends it otherwise. */
export async function until<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
