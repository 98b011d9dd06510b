/** Names of entries in a pack (contract wrkr §f): relative, with `/`, and the same on every system. */

/** What is wrong with a name; undefined when it may stand in a pack. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.startsWith('/')) return 'is absolute';
  if (name.includes('\\')) return 'holds a backslash';
  if (/^[A-Za-z]:/.test(name)) return 'names a drive';
  // eslint-disable-next-line no-control-regex -- matching control characters is the purpose
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return 'holds a control character';
  if (!name.isWellFormed()) return 'is no Unicode text';
  const segments = name.split('/');
  if (segments.includes('')) return 'holds an empty segment';
  if (segments.includes('.') || segments.includes('..')) return 'holds a segment of dots';
  return undefined;
}

/** Order by the bytes of UTF-8, which differs from JavaScript's own beyond U+FFFF. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
