/** Which policy decides, by flags and else by the environment (contract arp §5, §6). */
import { resolve } from 'node:path';
import type { PdpOptions } from '../../doors/arp/pdp/pdp.ts';
import { policyFile } from '../../policy/arp-policy/load.ts';
import type { CliContext } from '../command.ts';
import { setting } from '../environment.ts';

export interface PolicyFlags {
  /** A file; it takes the place of a profile. */
  readonly policy?: string | undefined;
  /** Everything is allowed. */
  readonly devAllow?: boolean;
}

export type PolicyChoice = Pick<PdpOptions, 'profile' | 'policy' | 'mode'>;

export function policyChoice(ctx: CliContext, { policy, devAllow = false }: PolicyFlags = {}): PolicyChoice {
  const named = policy === undefined ? setting(ctx, 'JARVIS_POLICY_PROFILE') : undefined;
  const profile = devAllow ? 'dev-allow' : named;
  const path = policy ?? setting(ctx, 'JARVIS_POLICY_PATH') ?? setting(ctx, 'ARP_POLICY_PATH');
  const mode = setting(ctx, 'ARP_POLICY_MODE');
  return {
    ...(profile === undefined ? {} : { profile }),
    ...(path === undefined ? {} : { policy: policyFile(resolve(ctx.cwd, path)) }),
    ...(mode === undefined ? {} : { mode }),
  };
}

/** Nobody chose anything: every run will be denied. */
export function deniesAll({ profile, policy, mode }: PolicyChoice): boolean {
  return profile === undefined && policy === undefined && mode !== 'allow_all';
}
