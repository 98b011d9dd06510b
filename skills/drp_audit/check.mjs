// Whether one could recover from the snapshot: it is there, recent, readable to its end, and holds what it must.

import { dirname } from 'node:path';
import { DamagedArchive, readArchive } from '#lib/archive.mjs';
import { like } from '#lib/globs.mjs';
import { CannotCheck, skill } from '#skill';

const DAY_MS = 86_400_000;

async function open(ctx, file) {
  try {
    return await readArchive(ctx.path(file), file);
  } catch (error) {
    if (!(error instanceof DamagedArchive)) {
      throw new CannotCheck(file, `cannot be read: ${error.code ?? error.message}`);
    }
    ctx.fail('snapshot_damaged', { where: file, message: error.message, severity: 'critical' });
    return null;
  }
}

async function checkContent(ctx, file) {
  const archive = await open(ctx, file);
  if (archive === null) return;
  if (archive === undefined)
    throw new CannotCheck(file, 'is no .tar, .tar.gz or .gz: its content is unknown');
  const filled = archive.entries.filter(({ size }) => size > 0);
  ctx.metric('files', archive.entries.length);
  ctx.metric('content_bytes', archive.bytes);
  if (filled.length === 0) {
    ctx.fail('snapshot_empty', { where: file, message: 'holds no file with content' });
    return;
  }
  ctx.ok(file, `opens: ${archive.entries.length} files, ${archive.bytes} bytes`);
  for (const glob of ctx.words('contains')) {
    const pattern = like(glob);
    const isThere = filled.some(({ name }) => pattern.test(name.replace(/^\.?\//, '')));
    if (isThere) ctx.ok(file, `holds ${glob}`);
    else ctx.fail('content_missing', { where: file, message: `holds no file with content like ${glob}` });
  }
}

await skill({
  url: import.meta.url,
  positionals: ['file', 'days'],
  help: {
    file: 'the snapshot',
    days: 'how old it may be',
    'min-bytes': 'how small it may be',
    contains: 'globs, with commas between: files that it must hold',
  },
  async check(ctx) {
    const { file, days } = ctx.args;
    const info = await ctx.stat(file);
    if (info === undefined) {
      const isKept = ctx.isGiven('file') || (await ctx.stat(dirname(file))) !== undefined;
      if (!isKept) ctx.skip(`${dirname(file)} does not exist: no snapshot is kept here`);
      ctx.fail('no_snapshot', { where: file, message: 'does not exist' });
      return;
    }
    if (!info.isFile()) throw new CannotCheck(file, 'is not a file');
    const age = (Date.now() - info.mtimeMs) / DAY_MS;
    ctx.metric('age_days', Math.round(age * 10) / 10);
    ctx.metric('bytes', info.size);
    const old = `${age.toFixed(1)} days old`;
    if (age > days) ctx.fail('snapshot_too_old', { where: file, message: `is ${old}: over ${days}` });
    else ctx.ok(file, `is ${old}`);
    const min = ctx.args['min-bytes'];
    if (info.size < min) {
      ctx.fail('snapshot_too_small', { where: file, message: `has ${info.size} bytes: less than ${min}` });
    } else {
      await checkContent(ctx, file);
    }
  },
});
