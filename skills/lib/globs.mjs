// Patterns of paths. Unlike those of a shell they match names with a dot in front, since whoever looks for something hidden
// or leaves out a folder means all of it.

const SPECIAL = /\*\*\/|\*\*|\*|\?|\[!?[^\]/]+\]|\{[^{}]*\}|[^]/g;

/** `*`, `?`, `[a-z]`, `{a,b}` within a name, and `**` across folders. @param {string} glob @returns {RegExp} */
export function like(glob) {
  return new RegExp(`^${source(glob)}$`, 'su');
}

/** The same, and all that lies below what it matches. @param {string} glob @returns {RegExp} */
export function likeOrBelow(glob) {
  return new RegExp(`^${source(glob.replace(/\/$/, ''))}(?:/.*)?$`, 'su');
}

/** @param {string} glob @returns {string} */
function source(glob) {
  return glob.replace(SPECIAL, (part) => {
    if (part === '**/') return '(?:[^/]+/)*';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    if (part.length > 1 && part.startsWith('{')) {
      return `(?:${part.slice(1, -1).split(',').map(source).join('|')})`;
    }
    if (part.length > 1 && part.startsWith('[')) {
      const inner = part.slice(1, -1).replace(/[\\[\]^]/g, String.raw`\$&`);
      return `[${inner.replace(/^!/, '^')}]`;
    }
    return part.replace(/[\\^$.|+()[\]{}/*?]/, String.raw`\$&`);
  });
}
