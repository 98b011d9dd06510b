import { Refusal } from '../../../policy/allow-list/refusal.ts';

/**
 * An agent runs what others ask for, so it does it as somebody who may do little (contract agents §8, J30).
 * @param uid of this process; undefined where the system has none.
 * @throws Refusal privileged
 */
export function requireUnprivileged(
  env: Readonly<Record<string, string | undefined>>,
  uid: number | undefined = process.getuid?.(),
): void {
  if (uid === 0 && env['JARVAS_ALLOW_ROOT'] !== '1')
    throw new Refusal('privileged', 'an agent does not run as root; JARVAS_ALLOW_ROOT=1 allows it', { uid });
}
