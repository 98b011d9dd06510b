/** What a key of a condition names in the context (contract arp §6, H28). */
type Context = Readonly<Record<string, unknown>>;

/** @returns undefined for nothing; null for what is there and null. */
export function lookUp(context: Context, key: string): unknown {
  if (Object.hasOwn(context, key)) return context[key];
  const parts = key.split('.');
  return descend(context, parts) ?? byLongestPrefix(context, parts);
}

function descend(context: Context, parts: readonly string[]): unknown {
  let current: unknown = context;
  for (const part of parts) {
    if (!isObject(current) || !Object.hasOwn(current, part)) return undefined;
    current = current[part];
  }
  return current;
}

/** Keys may have dots in them, on every level: metadata `jarvis.a.b` is the key `a.b` below `jarvis`. */
function byLongestPrefix(context: Context, parts: readonly string[]): unknown {
  for (let length = parts.length - 1; length > 0; length -= 1) {
    const prefix = parts.slice(0, length).join('.');
    const below = Object.hasOwn(context, prefix) ? context[prefix] : undefined;
    if (!isObject(below)) continue;
    const found = lookUp(below, parts.slice(length).join('.'));
    if (found !== undefined) return found;
  }
  return undefined;
}

function isObject(value: unknown): value is Context {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
