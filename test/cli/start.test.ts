// What a command does not need is not loaded for it: a tenth of a second of every start, for all that ask often.
import { spawnSync } from 'node:child_process';
import { expect } from 'vitest';
import { BIN, test } from './rig.ts';

/** Prints what Node loaded of itself once the program has ended. */
const LOADED = `data:text/javascript,process.on('exit', () => process.stderr.write(process.moduleLoadList.join('\\n')))`;

test.for([['version'], ['help'], ['list'], ['status', 'j'], ['submit', 'job.json']])(
  '%s loads no HTTP client',
  async (words, { home }) => {
    await home.spec([{}]);
    const { stderr } = spawnSync(process.execPath, ['--import', LOADED, `${BIN}wrkr.js`, ...words], {
      cwd: home.cwd,
      env: home.env(),
      encoding: 'utf8',
    });
    const loaded = stderr.split('\n').map((line) => line.replace('NativeModule ', ''));
    expect(loaded).toContain('path');
    // As a module of ours imports it, node:http brings the whole of Node's fetch with it.
    for (const name of ['http', 'https', 'internal/deps/undici/undici']) expect(loaded).not.toContain(name);
  },
);
