// How long ago keys were rotated, as their comments say: `rotated-YYYYMMDD`. A key is named by its fingerprint.

import { publicKeyOf } from '#lib/ssh-keys.mjs';
import { CannotCheck, skill } from '#skill';

const DAY_MS = 86_400_000;
const USUAL = '/root/.ssh/authorized_keys';

function judge(ctx, where, { type, fingerprint, comment, weakness }) {
  const what = `${type.replace(/^sk-/, 'hardware ')} ${fingerprint}`; // `sk-…` alone looks like a secret
  if (weakness !== undefined) ctx.fail('weak_key', { where, message: `${what}: ${weakness}` });
  const bad = (id, message) => {
    ctx.fail(id, { where, message: `${what}: ${message}`, severity: 'medium' });
    return false;
  };
  const tag = /(?:^|\W)rotated-(\d+)(?!\w)/.exec(comment)?.[1];
  if (tag === undefined) return bad('no_rotation_tag', 'its comment has no rotated-YYYYMMDD');
  const atMs = dayOf(tag);
  if (atMs === undefined) return bad('bad_rotation_tag', `rotated-${tag.slice(0, 12)} is not a day`);
  const days = Math.floor((Date.now() - atMs) / DAY_MS);
  if (days < -1) return bad('rotation_in_future', `rotated-${tag} is still to come`);
  const limit = ctx.args['max-age-days'];
  if (days > limit) return bad('not_rotated', `rotated ${days} days ago, more than ${limit}`);
  ctx.ok(where, `${what}: rotated ${days} days ago`);
  return true;
}

/** @returns {number | undefined} ms; undefined for what no calendar has, as 20260230 */
function dayOf(tag) {
  const day = /^(\d{4})(\d\d)(\d\d)$/.exec(tag)?.slice(1).join('-');
  if (day === undefined) return undefined;
  const atMs = Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(atMs) || new Date(atMs).toISOString().slice(0, 10) !== day ? undefined : atMs;
}

/** A file that cannot be read does not keep the others from being looked at. */
async function textOf(ctx, path) {
  try {
    return await ctx.read(path);
  } catch (error) {
    if (!(error instanceof CannotCheck)) throw error;
    ctx.error(error.where, error.message);
    return '';
  }
}

async function filesOfUsers(ctx) {
  const text = await ctx.read('/etc/passwd');
  if (text === undefined) throw new CannotCheck('/etc/passwd', 'is not there');
  const homes = text.split('\n').map((line) => line.split(':')[5] ?? '');
  return homes
    .filter((home) => home.startsWith('/'))
    .map((home) => `${home.replace(/\/$/, '')}/.ssh/authorized_keys`);
}

await skill({
  url: import.meta.url,
  positionals: ['file'],
  help: {
    file: 'keys that may log in',
    'max-age-days': 'a key must have been rotated within this time',
    'all-users': 'look at .ssh/authorized_keys of every account of /etc/passwd as well',
  },
  async check(ctx) {
    const { file } = ctx.args;
    const files = new Set([file, ...(ctx.args['all-users'] ? await filesOfUsers(ctx) : [])]);
    let [keys, old] = [0, 0];
    for (const path of files) {
      const text = await textOf(ctx, path);
      if (text === undefined) {
        // Named, it was thought to be there; the usual place may well be empty.
        if (path === file && file !== USUAL) throw new CannotCheck(path, 'is not there');
        continue;
      }
      for (const [index, line] of text.split(/\r?\n/).entries()) {
        if (/^\s*(?:#|$)/.test(line)) continue;
        const where = `${path}:${index + 1}`;
        const key = publicKeyOf(line);
        if (key === undefined) {
          ctx.warn('no_key', { where, message: 'is not a public key: sshd passes over it' });
          continue;
        }
        keys += 1;
        if (!judge(ctx, where, key)) old += 1;
      }
    }
    ctx.metric('files', files.size);
    ctx.metric('keys', keys);
    ctx.metric('keys_not_rotated', old);
    if (keys === 0 && ctx.report.outcome === 'pass') ctx.skip(`${[...files].join(', ')}: no key may log in`);
  },
});
