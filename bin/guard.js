// Entry shared by all programs. It must parse on any Node that knows modules (14.8 and newer), and it looks at the
// version before anything else is imported: better-sqlite3 13 crashes Node 20 without a word.

/** The oldest Node that works, as [major, minor]. `engines` in package.json says the same. */
const OLDEST = [22, 13];

/**
 * The one line for stderr when this Node is too old, or undefined when it is good.
 * @param {string} version as in process.versions.node
 * @returns {string | undefined}
 */
export function refuseNode(version) {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return undefined;
  return (
    `E_UNSUPPORTED_NODE: Node ${version} is too old; reeve needs Node ${OLDEST.join('.')} or newer. ` +
    'Install Node 24 and repeat the command; in a clone of reeve, `npm ci` brings Node 24 and `npx reeve` uses it.'
  );
}

/**
 * @param {'reeve' | 'wrkr'} program
 * @returns {Promise<void>}
 */
export async function start(program) {
  const refusal = refuseNode(process.versions.node);
  if (refusal !== undefined) {
    process.stderr.write(`${refusal}\n`);
    process.exitCode = 1;
    return;
  }
  const { existsSync } = await import('node:fs');
  const entry = new URL('../dist/cli/main.js', import.meta.url);
  if (!existsSync(entry)) {
    process.stderr.write(`${program}: dist/ is missing; run \`npm ci\` or \`npm run build\` first.\n`);
    process.exitCode = 1;
    return;
  }
  const { enableCompileCache } = await import('node:module');
  enableCompileCache();
  /** @type {typeof import('../src/cli/main.ts')} */
  const { main } = await import(entry.href);
  process.exitCode = await main(process.argv.slice(2), program);
}

/**
 * A program by an old name: its modes are commands of reeve. Any other mode is told what there is.
 * @param {readonly string[]} modes
 * @param {{ usage: string, exitCode: number }} otherwise
 * @returns {Promise<void>}
 */
export async function startMode(modes, { usage, exitCode }) {
  const [mode = ''] = process.argv.slice(2);
  if (modes.includes(mode)) return start('reeve');
  process.stdout.write(`usage: ${usage}\n`);
  process.exitCode = exitCode;
}
