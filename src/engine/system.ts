import { createHash, hash, randomUUID } from 'node:crypto';
import type { Sha256 } from '../model/canonical.ts';
import type { Chance, Clock } from './ports.ts';

/** One-shot hashing is twice as fast where Node has it (≥ 20.12); both give hex. */
export const sha256: Sha256 =
  typeof hash === 'function'
    ? (text) => hash('sha256', text, 'hex')
    : (text) => createHash('sha256').update(text).digest('hex');

/** Wall-clock start plus monotonic time: a clock set back while we run moves no lease or budget. */
export const systemClock: Clock = {
  nowMs: () => Math.floor(performance.timeOrigin + performance.now()),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
      signal?.addEventListener('abort', done, { once: true });
    }),
};

export const systemChance: Chance = {
  random: Math.random,
  id: (prefix) => `${prefix}${randomUUID().replaceAll('-', '')}`,
};

export const nextTurn = (): Promise<void> => new Promise(setImmediate);
