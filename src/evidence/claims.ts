/** What the checkpoints of a job say of its files. Claims only: nothing here was looked up on disk. */
import type { Json, JsonObject } from '../model/json.ts';
import { compareBytes } from './entry-names.ts';

export class Claims {
  readonly added = new Set<string>();
  readonly changed = new Set<string>();
  readonly removed = new Set<string>();
  /** Added or changed, and not removed since. */
  readonly standing = new Set<string>();

  /** @param checkpoint a `wrkr.checkpoint`; they come in the order in which they were emitted. */
  add(checkpoint: JsonObject): void {
    const { added, changed, removed } = (checkpoint['artifacts_delta'] ?? {}) as JsonObject;
    for (const path of texts(removed)) {
      this.removed.add(path);
      this.standing.delete(path);
    }
    for (const [into, list] of [
      [this.added, added],
      [this.changed, changed],
    ] as const) {
      for (const path of texts(list)) {
        into.add(path);
        this.standing.add(path);
      }
    }
  }

  /** Whether some checkpoint says that the path was added or changed. */
  made(path: string): boolean {
    return this.added.has(path) || this.changed.has(path);
  }

  /** Every path that was named, once, in the order of bytes. */
  all(): readonly string[] {
    return sorted(new Set([...this.added, ...this.changed, ...this.removed]));
  }
}

/** The same texts without repetition, in the order of their bytes. */
export function sorted(items: Iterable<string>): readonly string[] {
  return [...new Set(items)].toSorted(compareBytes);
}

/** The texts of a list; none of what is no list. A record that was imported may hold anything. */
export function texts(list: Json | undefined): readonly string[] {
  return Array.isArray(list) ? list.filter((item: Json) => typeof item === 'string') : [];
}
