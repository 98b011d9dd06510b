// Whether there is a backup that one could use: recent, as its checksum says, and readable to its end.

import { join } from 'node:path';
import { DamagedArchive, readArchive, sha256 } from '#lib/archive.mjs';
import { like } from '#lib/globs.mjs';
import { CannotCheck, skill } from '#skill';

const DAY_MS = 86_400_000;

/** Backups by time of change, newest first. */
async function backups(ctx) {
  const { dir, glob } = ctx.args;
  const entries = await ctx.list(dir);
  if (entries === undefined && ctx.isGiven('dir')) {
    ctx.fail('no_backup', { where: dir, message: 'does not exist' });
    return [];
  }
  if (entries === undefined) ctx.skip(`${dir} does not exist: no backups are kept here`);
  const pattern = like(glob);
  const found = [];
  for (const { name } of entries.filter((entry) => pattern.test(entry.name))) {
    const path = join(dir, name);
    const info = await ctx.stat(path);
    if (info?.isFile()) found.push({ path, size: info.size, changedMs: info.mtimeMs });
  }
  if (found.length === 0) ctx.fail('no_backup', { where: dir, message: `holds no file like ${glob}` });
  return found.toSorted((a, b) => b.changedMs - a.changedMs);
}

function checkAge(ctx, { path, size, changedMs }) {
  const days = (Date.now() - changedMs) / DAY_MS;
  ctx.metric('newest_age_days', Math.round(days * 10) / 10);
  ctx.metric('newest_bytes', size);
  const max = ctx.args['max-age-days'];
  const age = `${days.toFixed(1)} days old`;
  if (days < -1) ctx.warn('backup_from_the_future', { where: path, message: 'was changed in the future' });
  if (days > max)
    ctx.fail('backup_too_old', { where: path, message: `is the newest, and ${age}: over ${max}` });
  else ctx.ok(path, `is the newest, ${age}`);
}

async function checkSum(ctx, { path }) {
  const sumPath = `${path}.sha256`;
  const text = await ctx.read(sumPath);
  if (text === undefined) {
    if (ctx.args.checksum === 'if-present') return;
    ctx.fail('checksum_missing', { where: sumPath, message: 'does not exist' });
    return;
  }
  const said = /^\\?([0-9a-f]{64})(?:\s|$)/i.exec(text)?.[1];
  if (said === undefined) {
    ctx.fail('checksum_unreadable', { where: sumPath, message: 'holds no SHA-256' });
  } else if (said.toLowerCase() !== (await sha256(ctx.path(path)))) {
    ctx.fail('checksum_mismatch', {
      where: path,
      message: `is not what ${sumPath} says`,
      severity: 'critical',
    });
  } else {
    ctx.ok(path, 'matches its checksum');
  }
}

async function checkContent(ctx, { path, size }) {
  const min = ctx.args['min-bytes'];
  if (size < min) {
    ctx.fail('backup_too_small', { where: path, message: `has ${size} bytes: less than ${min}` });
    return;
  }
  try {
    const archive = await readArchive(ctx.path(path), path);
    if (archive === undefined) {
      ctx.warn('not_opened', { where: path, message: 'is no .tar, .tar.gz or .gz: not opened' });
    } else if (archive.entries.length === 0) {
      ctx.fail('backup_empty', { where: path, message: 'holds no files' });
    } else {
      ctx.ok(path, `opens: ${archive.entries.length} files, ${archive.bytes} bytes`);
    }
  } catch (error) {
    if (error instanceof DamagedArchive) {
      ctx.fail('backup_damaged', { where: path, message: error.message, severity: 'critical' });
    } else {
      throw new CannotCheck(path, `cannot be read: ${error.code ?? error.message}`);
    }
  }
}

await skill({
  url: import.meta.url,
  positionals: ['dir', 'glob'],
  help: {
    dir: 'folder of backups',
    glob: 'names of backups in it',
    'max-age-days': 'how old the newest may be',
    'min-bytes': 'how small a backup may be',
    checksum: 'whether <file>.sha256 has to exist',
    all: 'open and sum up all of them, not only the newest',
  },
  async check(ctx) {
    const found = await backups(ctx);
    ctx.metric('backups', found.length);
    if (found.length === 0) return;
    checkAge(ctx, found[0]);
    for (const backup of ctx.args.all ? found : found.slice(0, 1)) {
      await checkSum(ctx, backup);
      await checkContent(ctx, backup);
    }
  },
});
