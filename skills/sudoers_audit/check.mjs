// Who needs no password for sudo, in sudoers and in every file that it includes.

import { hostname } from 'node:os';
import { passwordless, sudoersLines } from '#lib/sudoers.mjs';
import { skill } from '#skill';

const GROUP_OR_OTHERS_WRITE = 0o022;

async function judgeMode(ctx, path) {
  const info = await ctx.stat(path);
  if (info === undefined || (info.mode & GROUP_OR_OTHERS_WRITE) === 0) return;
  ctx.fail('writable', { where: path, message: 'others than its owner can write it', severity: 'critical' });
}

await skill({
  url: import.meta.url,
  help: {
    file: 'where sudo begins to read',
    allow: 'users and %groups that may act without a password, separated by commas',
  },
  async check(ctx) {
    const { file } = ctx.args;
    if ((await ctx.stat(file)) === undefined) ctx.skip(`there is no ${file}: sudo is not installed`);
    const allowed = new Set(ctx.words('allow'));
    const files = new Set();
    let found = 0;
    const lines = sudoersLines(file, ctx, {
      hostname: hostname(),
      onFile: (path) => files.add(path),
      onProblem: (problem) => ctx.error(`${problem.file}:${problem.line}`, problem.message),
    });
    for await (const { file: source, line, text } of lines) {
      const grant = passwordless(text);
      if (grant === undefined) continue;
      const where = `${source}:${line}`;
      const message = `${grant.who} needs no password (${grant.how})`;
      if (grant.who.split(',').every((who) => allowed.has(who.trim()))) {
        ctx.warn('allowed_without_password', { where, message: `${message}, as allowed` });
        continue;
      }
      found += 1;
      ctx.fail('without_password', { where, message });
    }
    for (const path of files) await judgeMode(ctx, path);
    ctx.metric('files', files.size);
    ctx.metric('grants_without_password', found);
    if (found === 0) ctx.ok('', `nobody else acts without a password, by ${files.size} files`);
  },
});
