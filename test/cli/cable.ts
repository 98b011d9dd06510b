/** A network namespace at the end of a cable that can be pulled out: real packets, and silence instead of resets. Linux, as root. */
import { spawnSync } from 'node:child_process';

export class Cable {
  /** In front of a command, to run it at the far end. */
  readonly under: readonly string[];
  /** Of this machine, as the far end sees it. */
  readonly address: string;
  readonly #name: string;
  readonly #bridge: string;
  readonly #port: string;

  /** @returns undefined and why: this machine has no `ip`, or not the right */
  static lay(): { readonly cable: Cable } | { readonly problem: string } {
    const cable = new Cable();
    try {
      cable.#lay();
      return { cable };
    } catch (error) {
      cable.remove();
      return { problem: (error as Error).message };
    }
  }

  private constructor() {
    const id = process.pid.toString(36);
    this.#name = `reeve-${id}`;
    this.#bridge = `rvb${id}`;
    this.#port = `rvp${id}`;
    this.under = ['ip', 'netns', 'exec', this.#name];
    // Of the range for tests of network devices (RFC 2544): nobody's in any network.
    this.address = `198.18.${(process.pid >> 6) & 255}.${(process.pid & 63) * 4 + 1}`;
  }

  /** Packets vanish in both directions; nobody is told. */
  cut(): void {
    ip('link', 'set', this.#port, 'down');
  }

  mend(): void {
    ip('link', 'set', this.#port, 'up');
  }

  remove(): void {
    for (const args of [
      ['netns', 'del', this.#name],
      ['link', 'del', this.#port],
      ['link', 'del', this.#bridge],
    ])
      spawnSync('ip', args);
  }

  /** The bridge keeps its address while nothing is plugged in, so routes stay as they are during a cut. */
  #lay(): void {
    const far = this.address.replace(/\d+$/, (last) => String(Number(last) + 1));
    ip('netns', 'add', this.#name);
    ip('link', 'add', this.#bridge, 'type', 'bridge');
    ip('addr', 'add', `${this.address}/30`, 'dev', this.#bridge);
    ip('link', 'set', this.#bridge, 'up');
    ip('link', 'add', this.#port, 'type', 'veth', 'peer', 'name', 'far', 'netns', this.#name);
    ip('link', 'set', this.#port, 'master', this.#bridge, 'up');
    const inside = ['-n', this.#name];
    ip(...inside, 'addr', 'add', `${far}/30`, 'dev', 'far');
    ip(...inside, 'link', 'set', 'lo', 'up');
    ip(...inside, 'link', 'set', 'far', 'up');
    // Known for ever: otherwise a cut is an error (no such host) after three seconds, and not silence.
    const { address: mac } = JSON.parse(ip('-j', 'link', 'show', this.#bridge))[0] as { address: string };
    ip(...inside, 'neigh', 'replace', this.address, 'lladdr', mac, 'dev', 'far', 'nud', 'permanent');
  }
}

function ip(...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}
