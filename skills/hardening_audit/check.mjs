// What sshd really does by its configuration: files that are included, blocks that hold for some, and the first of
// repeated keys, which wins.

import { basename, dirname, isAbsolute, join } from 'node:path';
import { like } from '#lib/globs.mjs';
import { CannotCheck, skill } from '#skill';

const DEPTH_MAX = 16; // as sshd has it

const is = (...values) => ({ test: (value) => values.includes(value), wanted: values.join(' or ') });
const atMost = (max) => ({ test: (value) => Number(value) <= max, wanted: `at most ${max}` });
const WEAK =
  /(?:^|[,+^])(?:3des-cbc|arcfour|blowfish-cbc|cast128-cbc|hmac-md5|hmac-sha1-96|diffie-hellman-group1-|ssh-dss)/;
const strong = {
  test: (value) => value.startsWith('-') || !WEAK.test(value),
  wanted: 'without weak algorithms',
};

/**
 * What sshd does without a key (undefined: what is compiled in, which is strong), and what it should do.
 * @type {readonly (readonly [name: string, standard: string | undefined, severity: string, rule: {test: (value: string) => boolean, wanted: string}])[]}
 */
const KEYS = [
  // Keys are no passwords: prohibit-password keeps out whom this is about.
  [
    'PermitRootLogin',
    'prohibit-password',
    'critical',
    is('no', 'prohibit-password', 'without-password', 'forced-commands-only'),
  ],
  ['PasswordAuthentication', 'yes', 'high', is('no')],
  ['PermitEmptyPasswords', 'no', 'critical', is('no')],
  ['HostbasedAuthentication', 'no', 'high', is('no')],
  ['IgnoreRhosts', 'yes', 'medium', is('yes', 'shosts-only')],
  ['PermitUserEnvironment', 'no', 'medium', is('no')],
  ['StrictModes', 'yes', 'medium', is('yes')],
  ['X11Forwarding', 'no', 'low', is('no')],
  ['MaxAuthTries', '6', 'low', atMost(6)],
  ['Ciphers', undefined, 'medium', strong],
  ['MACs', undefined, 'medium', strong],
  ['KexAlgorithms', undefined, 'medium', strong],
];
/** By name in lower case, as sshd compares them. */
const RULES = new Map(KEYS.map((key) => [key[0].toLowerCase(), key]));
/** Older names of keys. */
const ALIASES = new Map([['challengeresponseauthentication', 'kbdinteractiveauthentication']]);
const KEYBOARD = 'kbdinteractiveauthentication';

/** The words of a line: in quotes or not, up to a comment. */
const words = (text) =>
  [...text.matchAll(/"([^"]*)"|([^\s"#][^\s"]*)|(#.*)/g)]
    .filter((match) => match[3] === undefined)
    .map((match) => match[1] ?? match[2]);

/** Settings in the order in which sshd meets them. @yields {{key: string, value: string, where: string, match?: string}} */
async function* settings(ctx, file, outer, depth = 0) {
  if (depth > DEPTH_MAX) throw new CannotCheck(file, `is included over ${DEPTH_MAX} levels deep`);
  const text = await ctx.read(file);
  if (text === undefined) throw new CannotCheck(file, 'does not exist');
  let match = outer; // what a file opens ends with it
  for (const [at, line] of text.split('\n').entries()) {
    const parts = /^\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*)$/.exec(line);
    if (parts === null) continue;
    const [name, values] = [parts[1].toLowerCase(), words(parts[2])];
    if (name === 'match') {
      const condition = values.join(' ');
      match = condition.toLowerCase() === 'all' ? outer : condition;
    } else if (name === 'include') {
      for (const pattern of values) {
        for (const included of await expand(ctx, pattern)) yield* settings(ctx, included, match, depth + 1);
      }
    } else {
      const key = ALIASES.get(name) ?? name;
      yield { key, value: values.join(' '), where: `${file}:${at + 1}`, match };
    }
  }
}

/** Files of a pattern, in order. Relative ones are below /etc/ssh, wherever the configuration is. */
async function expand(ctx, pattern) {
  const whole = isAbsolute(pattern) ? pattern : join('/etc/ssh', pattern);
  const folder = dirname(whole);
  if (/[*?[]/.test(folder)) throw new CannotCheck(whole, 'has a wildcard in a folder: not followed');
  const entries = (await ctx.list(folder)) ?? [];
  const shape = like(basename(whole));
  // As in a shell, a star is no name with a dot in front.
  const isHidden = (name) => name.startsWith('.') && !basename(whole).startsWith('.');
  const names = entries.map(({ name }) => name).filter((name) => shape.test(name) && !isHidden(name));
  return names.map((name) => join(folder, name));
}

/** @param {{value: string, where: string, match?: string}} setting */
function judge(ctx, key, { value, where, match }) {
  const [name, , severity, { test, wanted }] = RULES.get(key);
  const shown = `${name} ${value}${match === undefined ? '' : ` for ${match}`}`;
  const compared = /^(?:ciphers|macs|kexalgorithms)$/.test(key) ? value : value.toLowerCase();
  if (test(compared)) return true;
  ctx.fail(key, { where, message: `${shown}: should be ${wanted}`, severity });
  return false;
}

await skill({
  url: import.meta.url,
  help: {
    config: 'configuration of sshd',
    ignore: 'keys that are not looked at, with commas between',
  },
  async check(ctx) {
    const file = ctx.args.config;
    if (!ctx.isGiven('config') && (await ctx.stat(file)) === undefined) {
      ctx.skip(`${file} does not exist: no sshd here`);
    }
    const effective = new Map();
    const special = [];
    for await (const setting of settings(ctx, file)) {
      if (setting.match !== undefined) special.push(setting);
      else if (!effective.has(setting.key)) effective.set(setting.key, setting);
    }
    const ignored = new Set(ctx.words('ignore').map((key) => key.toLowerCase()));
    let good = 0;
    for (const [key, [name, standard]] of RULES) {
      if (ignored.has(key)) continue;
      const setting =
        effective.get(key) ??
        (standard === undefined ? undefined : { value: standard, where: `${file} (default)` });
      if (setting !== undefined && !judge(ctx, key, setting)) continue;
      good++;
      if (setting !== undefined) ctx.ok(setting.where, `${name} ${setting.value}`);
    }
    // In a block as well the first one of a key wins, and one that repeats the rule is harmless.
    const seen = new Set();
    for (const setting of special) {
      const id = `${setting.match} ${setting.key}`;
      if (!RULES.has(setting.key) || ignored.has(setting.key) || seen.has(id)) continue;
      seen.add(id);
      judge(ctx, setting.key, setting);
    }
    const keyboard = effective.get(KEYBOARD);
    const usesPam = effective.get('usepam')?.value.toLowerCase() === 'yes';
    if (usesPam && keyboard?.value.toLowerCase() !== 'no' && !ignored.has(KEYBOARD)) {
      const message = 'KbdInteractiveAuthentication is on, and PAM may ask for a password by it';
      ctx.warn(KEYBOARD, { where: keyboard?.where ?? `${file} (default)`, message, severity: 'medium' });
    }
    ctx.metric('keys_right', good);
  },
});
