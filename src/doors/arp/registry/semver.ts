/** Which version is the highest (SemVer 2.0.0 §11, with an optional `v`; contract arp §2). Pure. */
const NUMBER = '(0|[1-9]\\d*)';
const PART = '(?:0|[1-9]\\d*|\\d*[A-Za-z-][0-9A-Za-z-]*)';
const SEMVER = new RegExp(
  `^v?${NUMBER}\\.${NUMBER}\\.${NUMBER}(?:-(${PART}(?:\\.${PART})*))?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$`,
);

interface Parsed {
  readonly numbers: readonly string[];
  /** Empty: a release. */
  readonly pre: readonly string[];
}

function parse(version: string): Parsed | undefined {
  const [, major = '', minor = '', patch = '', pre] = SEMVER.exec(version) ?? [];
  if (major === '') return undefined;
  return { numbers: [major, minor, patch], pre: pre === undefined ? [] : pre.split('.') };
}

/**
 * The highest of some versions: by SemVer among those that are one, else the last in the order of characters. Versions
 * that only differ in build metadata or a `v` are equal in rank; the last in the order of characters is taken.
 */
export function highest(versions: readonly string[]): string | undefined {
  const parsed = versions.flatMap((version) => {
    const parts = parse(version);
    return parts === undefined ? [] : [{ version, parts }];
  });
  if (parsed.length === 0) return versions.toSorted(byText).at(-1);
  return parsed.toSorted((a, b) => compare(a.parts, b.parts) || byText(a.version, b.version)).at(-1)?.version;
}

function compare(a: Parsed, b: Parsed): number {
  for (const [at, number] of a.numbers.entries()) {
    const difference = byNumber(number, b.numbers[at] ?? '0');
    if (difference !== 0) return difference;
  }
  if (a.pre.length === 0 || b.pre.length === 0) return b.pre.length - a.pre.length; // a release is above its pre-releases
  for (const [at, part] of a.pre.entries()) {
    const other = b.pre[at];
    if (other === undefined) return 1;
    const difference = byIdentifier(part, other);
    if (difference !== 0) return difference;
  }
  return a.pre.length - b.pre.length;
}

function byIdentifier(a: string, b: string): number {
  const isNumber = (text: string): boolean => /^\d+$/.test(text);
  if (isNumber(a) && isNumber(b)) return byNumber(a, b);
  if (isNumber(a) !== isNumber(b)) return isNumber(a) ? -1 : 1;
  return byText(a, b);
}

/** Without leading zeros, so that length decides first: numbers of any size. */
function byNumber(a: string, b: string): number {
  return a.length - b.length || byText(a, b);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
