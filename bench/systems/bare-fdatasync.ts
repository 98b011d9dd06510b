// The lower bound of a disk: 300 bytes and their sync.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { sequences, type Place, type System } from './system.ts';

export function open({ dir }: Place): Promise<System> {
  const file = openSync(join(dir, 'sync'), 'a');
  const line = Buffer.alloc(300, 'x');
  return Promise.resolve({
    steps: (clients: number, each: number) =>
      sequences(clients, each, () => {
        writeSync(file, line);
        fdatasyncSync(file);
        return Promise.resolve();
      }),
    close: () => Promise.resolve(closeSync(file)),
  });
}
