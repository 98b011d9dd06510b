/**
 * Docker and Podman, which understand the same commands as far as they are used here.
 */
import { CannotCheck } from '#skill';

const UNITS = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * @param {import('#skill').Context} ctx its argument `runtime` is `auto`, `docker` or `podman`
 * @returns {string[]} the runtimes to look at, at least one; ends the check as skipped where none is installed
 * @throws {CannotCheck} when the one that was asked for is not installed
 */
export function runtimes(ctx) {
  const { runtime } = ctx.args;
  if (runtime !== 'auto') {
    if (ctx.tool(runtime) === undefined) throw new CannotCheck(runtime, 'is not installed');
    return [runtime];
  }
  const found = ['docker', 'podman'].filter((name) => ctx.tool(name) !== undefined);
  if (found.length === 0) ctx.skip('neither docker nor podman is installed');
  return found;
}

/**
 * @returns {Promise<string[][]>} the columns of what the runtime lists
 * @throws {CannotCheck} with what the runtime says when it fails: a daemon that is not there, no permission
 */
export async function table(ctx, argv, columns) {
  const format = columns.map((column) => `{{.${column}}}`).join('\t');
  const { code, stdout, stderr } = await ctx.run([...argv, '--format', format], { timeoutMs: 60_000 });
  if (code !== 0) throw new CannotCheck(argv[0], firstLine(stderr) || `ends with ${code}`);
  return stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.split('\t').map((cell) => cell.trim()));
}

/** @returns {number | undefined} bytes of `12.3MiB`, `77.8MB`, `0B` */
export function bytesOf(text) {
  const found = /^(\d+(?:\.\d+)?)\s*([kKMGT]?i?B)$/.exec(text.trim());
  return found === null ? undefined : Number(found[1]) * UNITS[found[2].toLowerCase()];
}

export const firstLine = (text) => text.trim().split('\n')[0] ?? '';
