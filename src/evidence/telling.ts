import { ReeveError } from '../model/errors.ts';
import { mismatch } from './pack-reader.ts';

/**
 * Tells what a pack says. Its hashes may be right and its events still none that a run can have: whoever forges a pack can
 * hash. What then goes wrong on the way is the pack's fault.
 * @throws ReeveError E_VERIFY_HASH_MISMATCH
 */
export function telling<T>(what: string, tell: () => T): T {
  try {
    return tell();
  } catch (cause) {
    if (cause instanceof ReeveError || !(cause instanceof TypeError || cause instanceof RangeError))
      throw cause;
    throw mismatch(`${what} tells of something that no run has`, {}, cause);
  }
}
