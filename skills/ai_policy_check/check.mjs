// Which model services the files of a tree speak of, against a policy of which are allowed. Keys are told by place only.

import { files, matches } from '#lib/files.mjs';
import { findSecrets } from '#lib/secrets.mjs';
import { CannotCheck, skill } from '#skill';

/** As expressions: so this file does not name what it looks for, and need not make an exception of itself. */
const SERVICES = [
  String.raw`api\.openai\.com`,
  String.raw`huggingface\.co`,
  String.raw`hf\.space`,
  String.raw`openai\.azure\.com`,
  String.raw`api\.anthropic\.com`,
  String.raw`generativelanguage\.googleapis\.com`,
  String.raw`aiplatform\.googleapis\.com`,
  String.raw`bedrock(?:-runtime)?\.[a-z0-9-]+\.amazonaws\.com`,
  String.raw`api\.mistral\.ai`,
  String.raw`api\.cohere\.(?:ai|com)`,
  String.raw`api\.replicate\.com`,
  String.raw`api\.together\.(?:ai|xyz)`,
  String.raw`api\.groq\.com`,
  String.raw`api\.perplexity\.ai`,
  String.raw`api\.deepseek\.com`,
  String.raw`api\.x\.ai`,
  String.raw`openrouter\.ai`,
];
const LABELS = '(?:[a-z0-9-]{1,63}\\.){0,8}';

/** A host as it stands, and all below it. */
const escaped = (host) => host.toLowerCase().replace(/[^a-z0-9-]/g, '\\$&');
const anyOf = (hosts) =>
  hosts.length === 0
    ? /(?!)/g
    : new RegExp(`(?<![a-z0-9.-])${LABELS}(?:${hosts.join('|')})(?![a-z0-9-]|\\.[a-z0-9])`, 'gi');

/** `{"allowed_hosts": […], "denied_hosts": […], "exclude": [globs]}`, each of them optional. */
async function readPolicy(ctx) {
  const file = ctx.args.policy;
  const text = await ctx.read(file);
  if (text === undefined && ctx.isGiven('policy')) throw new CannotCheck(file, 'does not exist');
  let policy;
  try {
    policy = JSON.parse(text ?? '{}');
  } catch {
    throw new CannotCheck(file, 'is not JSON');
  }
  const known = { allowed_hosts: [], denied_hosts: [], exclude: [] };
  if (policy === null || typeof policy !== 'object') throw new CannotCheck(file, 'is no object');
  for (const [key, value] of Object.entries(policy)) {
    if (!Object.hasOwn(known, key)) throw new CannotCheck(file, `${JSON.stringify(key)} is not known`);
    const isList = Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== '');
    if (!isList) throw new CannotCheck(file, `${key} is no list of texts`);
    known[key] = value;
  }
  return known;
}

await skill({
  url: import.meta.url,
  positionals: ['path'],
  help: {
    path: 'file or folder',
    policy: 'JSON with allowed_hosts, denied_hosts and exclude (globs); none: no service is allowed',
    'max-bytes': 'larger files are not looked into',
  },
  async check(ctx) {
    const policy = await readPolicy(ctx);
    const services = anyOf([...SERVICES, ...policy.denied_hosts.map(escaped)]);
    const allowed = anyOf(policy.allowed_hosts.map(escaped));
    const isAllowed = (host) => [...host.matchAll(allowed)].some(([whole]) => whole === host);
    const counts = { files: 0, endpoints: 0, keys: 0 };
    const options = { maxBytes: ctx.args['max-bytes'], allow: policy.exclude };
    for await (const { name, text } of files(ctx, ctx.args.path, options)) {
      counts.files++;
      for (const { match, line } of matches(text, services)) {
        const host = match[0].toLowerCase();
        if (isAllowed(host)) continue;
        counts.endpoints++;
        ctx.fail('model_endpoint', {
          where: `${name}:${line}`,
          message: `names ${host}`,
          severity: 'medium',
        });
      }
      const lines = text.split('\n');
      for (const { type, line, column } of findSecrets(text)) {
        if (type !== 'API_KEY' || !lines[line - 1].startsWith('sk-', column - 1)) continue;
        counts.keys++;
        ctx.fail('model_key', { where: `${name}:${line}`, message: 'holds a key', severity: 'critical' });
      }
    }
    for (const [name, count] of Object.entries(counts)) ctx.metric(name, count);
    if (counts.files === 0 && !ctx.report.findings.length) ctx.skip(`${ctx.args.path} holds no files`);
    if (counts.endpoints + counts.keys === 0)
      ctx.ok(ctx.args.path, `nothing against the policy in ${counts.files} files`);
  },
});
