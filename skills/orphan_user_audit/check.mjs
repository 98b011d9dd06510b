// Accounts that can log in, and have not for long: each is a door that nobody watches.

import { readLastlog, readLastlog2, readWtmp } from '#lib/logins.mjs';
import { CannotCheck, skill } from '#skill';

const DAY_MS = 86_400_000;
const NO_SHELLS = /\/(?:nologin|false|sync|halt|shutdown|git-shell)$/;

async function accountsWithShell(ctx) {
  const text = await ctx.read('/etc/passwd');
  if (text === undefined) throw new CannotCheck('/etc/passwd', 'is not there');
  const rules = (await ctx.read('/etc/login.defs')) ?? '';
  const lowest = Number(/^\s*UID_MIN\s+(\d+)/m.exec(rules)?.[1] ?? 1000);
  const excluded = new Set(ctx.words('exclude'));
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 7 && /^\d+$/.test(fields[2]))
    .map(([name, , uid, , , , shell]) => ({ name, uid: Number(uid), shell }))
    .filter(({ name, uid, shell }) => {
      if (excluded.has(name) || NO_SHELLS.test(shell)) return false;
      return ctx.args.system || uid === 0 || (uid >= lowest && name !== 'nobody');
    });
}

/** @returns {Promise<Map<string, number>>} when each password was set, ms: about when a new account was made */
async function passwordChanges(ctx) {
  const found = new Map();
  try {
    for (const line of ((await ctx.read('/etc/shadow')) ?? '').split('\n')) {
      const [name, , day = ''] = line.split(':');
      if (/^[1-9]\d*$/.test(day)) found.set(name, Number(day) * DAY_MS);
    }
  } catch (error) {
    if (!(error instanceof CannotCheck)) throw error;
    const message = 'cannot be read: new accounts cannot be told from forgotten ones';
    ctx.warn('ages_unknown', { where: error.where, message });
  }
  return found;
}

/** Every record there is: none of them alone is kept everywhere. */
async function lastLogins(ctx, accounts) {
  const byName = [];
  const byId = [];
  const sources = [];
  let sinceMs = Infinity;
  const use = async (path, act) => {
    const info = await ctx.stat(path);
    if (info === undefined || info.size === 0) return;
    try {
      await act(ctx.path(path));
      sources.push(path);
    } catch (error) {
      throw new CannotCheck(path, `cannot be read: ${error.code ?? error.message}`);
    }
  };
  const uids = accounts.map(({ uid }) => uid);
  await use('/var/log/lastlog', async (path) => byId.push(await readLastlog(path, uids)));
  await use('/var/lib/lastlog/lastlog2.db', async (path) => byName.push(await readLastlog2(path)));
  if (sources.length > 0) sinceMs = -Infinity; // these forget nobody
  for (const name of ['wtmp', 'wtmp.1']) {
    await use(`/var/log/${name}`, async (path) => {
      const record = await readWtmp(path);
      byName.push(record.logins);
      sinceMs = Math.min(sinceMs, record.sinceMs);
    });
  }
  const lastMs = (name, uid) => {
    const times = [...byName.map((logins) => logins.get(name)), ...byId.map((logins) => logins.get(uid))];
    return times.filter((atMs) => atMs !== undefined).toSorted((a, b) => b - a)[0];
  };
  return { lastMs, sources, sinceMs };
}

const ageInDays = (atMs) => Math.floor((Date.now() - atMs) / DAY_MS);

await skill({
  url: import.meta.url,
  positionals: ['days'],
  help: {
    days: 'an account must have been used within this time',
    exclude: 'accounts to leave out, separated by commas',
    system: 'look also at accounts below UID_MIN of /etc/login.defs, as far as they have a shell',
  },
  async check(ctx) {
    const { days } = ctx.args;
    const accounts = await accountsWithShell(ctx);
    if (accounts.length === 0) ctx.skip('no account has a shell to log in with');
    const changedMs = await passwordChanges(ctx);
    const { lastMs, sources, sinceMs } = await lastLogins(ctx, accounts);
    if (sources.length === 0) {
      throw new CannotCheck('/var/log', 'no record of logins: neither lastlog, lastlog2 nor wtmp');
    }
    let orphans = 0;
    for (const { name, uid } of accounts) {
      const where = `${name} (${uid})`;
      const last = lastMs(name, uid);
      const madeMs = changedMs.get(name);
      if (last === undefined && madeMs !== undefined && ageInDays(madeMs) <= days) {
        ctx.ok(where, `never logged in; its password was set ${ageInDays(madeMs)} days ago`);
      } else if (last === undefined && ageInDays(sinceMs) < days) {
        ctx.error(where, `no login on record, but the records go back ${ageInDays(sinceMs)} days only`);
      } else if (last === undefined) {
        orphans += 1;
        ctx.fail('never_logged_in', {
          where,
          message: `no login on record (${sources.join(', ')})`,
          severity: 'medium',
        });
      } else if (ageInDays(last) > days) {
        orphans += 1;
        const message = `last login ${ageInDays(last)} days ago, more than ${days}`;
        ctx.fail('not_used', { where, message, severity: 'medium' });
      } else ctx.ok(where, `last login ${ageInDays(last)} days ago`);
    }
    ctx.metric('accounts', accounts.length);
    ctx.metric('orphans', orphans);
  },
});
