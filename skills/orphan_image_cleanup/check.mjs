// Dangling images: no tag names them, and no container was made from them. They only take up room.

import { firstLine, runtimes, table } from '#lib/containers.mjs';
import { CannotCheck, skill } from '#skill';

const DAY_MS = 86_400_000;

/** A runtime that does not answer does not keep the other from being looked at. */
async function imagesOrNone(ctx, runtime) {
  try {
    return await danglingImages(ctx, runtime);
  } catch (error) {
    if (!(error instanceof CannotCheck)) throw error;
    ctx.error(error.where, error.message);
    return [];
  }
}

async function danglingImages(ctx, runtime) {
  const rows = await table(
    ctx,
    [runtime, 'images', '--filter', 'dangling=true', '--no-trunc'],
    ['ID', 'Size', 'CreatedAt'],
  );
  return rows.map(([id = '', size = '', created = '']) => {
    if (!/^(?:sha256:)?[0-9a-f]{12,64}$/.test(id))
      throw new CannotCheck(runtime, `lists an image as “${id}”`);
    return { id, size, ageDays: ageInDays(runtime, created) };
  });
}

/** `2026-05-01 10:11:12 +0200 CEST`: the zone's name says nothing more. */
function ageInDays(runtime, created) {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d\d)(\d\d)/.exec(created);
  if (parts === null) throw new CannotCheck(runtime, `says that an image was made “${created}”`);
  const [, day, time, hours, minutes] = parts;
  return (Date.now() - Date.parse(`${day}T${time}${hours}:${minutes}`)) / DAY_MS;
}

async function isInUse(ctx, runtime, id) {
  return (await table(ctx, [runtime, 'ps', '--all', '--filter', `ancestor=${id}`], ['ID'])).length > 0;
}

/** Exactly this image, without force: one that came into use meanwhile stays. */
async function remove(ctx, runtime, id, where) {
  const { code, stderr } = await ctx.run([runtime, 'image', 'rm', id], { timeoutMs: 120_000 });
  if (code !== 0) {
    ctx.error(where, `cannot be removed: ${firstLine(stderr) || `${runtime} ends with ${code}`}`);
    return false;
  }
  ctx.ok(where, 'removed');
  return true;
}

const shortId = (id) => id.replace('sha256:', '').slice(0, 12);

await skill({
  url: import.meta.url,
  help: {
    apply: 'remove the images that are found',
    runtime: 'which container runtime to ask; auto: every one that is installed',
    'older-than-days': 'images younger than this are left alone',
  },
  async check(ctx) {
    let [found, removed, inUse] = [0, 0, 0];
    const seen = new Set(); // `docker` may be Podman under another name
    for (const runtime of runtimes(ctx)) {
      for (const image of await imagesOrNone(ctx, runtime)) {
        if (seen.has(image.id) || image.ageDays < ctx.args['older-than-days']) continue;
        seen.add(image.id);
        const where = `${runtime} ${shortId(image.id)}`;
        if (await isInUse(ctx, runtime, image.id)) {
          inUse += 1;
          ctx.warn('image_in_use', {
            where,
            message: `untagged, but a container was made from it (${image.size})`,
          });
          continue;
        }
        found += 1;
        if (!ctx.args.apply) {
          const message = `dangling image, ${image.size}, ${Math.floor(image.ageDays)} days old`;
          ctx.fail('dangling_image', { where, message, severity: 'low' });
        } else if (await remove(ctx, runtime, image.id, where)) removed += 1;
      }
    }
    ctx.metric('dangling_images', found);
    ctx.metric('images_in_use', inUse);
    ctx.metric('images_removed', removed);
    if (found === 0 && ctx.report.outcome === 'pass') ctx.ok('', 'no dangling images');
  },
});
