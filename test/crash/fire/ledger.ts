/**
 * What the steps of a campaign really did: one line for each time that a step had its effect, appended and synced by the
 * step itself, outside of everything that Reeve keeps.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Line {
  /** `<run id>.<number of the node>.<attempt>`: what the step was told in REEVE_EFFECT_KEY. */
  readonly effectKey: string;
  readonly pid: number;
  readonly atMs: number;
}

export class Ledger {
  readonly file: string;
  /** A shell file that defines `note`: appends the line of this step with O_APPEND and syncs it. */
  readonly script: string;

  constructor(dir: string) {
    this.file = join(dir, 'ledger');
    this.script = join(dir, 'note.sh');
    writeFileSync(
      this.script,
      `note() { printf '%s %s %s\\n' "$REEVE_EFFECT_KEY" $$ "$(date +%s%N)" |
  dd of='${this.file}' oflag=append conv=notrunc,fsync status=none; }\n`,
    );
  }

  read(): Line[] {
    if (!existsSync(this.file)) return [];
    const lines = readFileSync(this.file, 'utf8').split('\n').slice(0, -1);
    return lines.map((text) => {
      const [effectKey = '', pid = '', ns = ''] = text.split(' ');
      return { effectKey, pid: Number(pid), atMs: Number(ns) / 1e6 };
    });
  }

  /** Waits until a step has its effect, or so long. */
  async grown(ms: number): Promise<void> {
    const giveUpAtMs = performance.now() + ms;
    const before = this.#bytes();
    while (this.#bytes() === before && performance.now() < giveUpAtMs) await delay(10);
  }

  #bytes(): number {
    return statSync(this.file, { throwIfNoEntry: false })?.size ?? 0;
  }

  has(effectKey: string): boolean {
    return this.read().some((line) => line.effectKey === effectKey);
  }
}
