/** `reeve skills publish`: packages first, then the list that names them, so that no agent is told of what it cannot have. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ReeveError } from '../../model/errors.ts';
import type { PublishedSkill } from '../../doors/agents/wire/skills.ts';
import type { CommandHandler } from '../command.ts';
import { askControl, controlAddress } from '../agents/control-client.ts';
import { escapeControls } from '../output.ts';
import { packageOf, skillPaths } from '../agents/skill-places.ts';
import { ALLOW_LIST_FILE, listAt } from './skills-sign.ts';

const UPLOAD_MS = 120_000;

export const skillsPublish: CommandHandler = async (ctx, { args, flags }) => {
  const path = resolve(ctx.cwd, flags.text('allow-list') ?? ALLOW_LIST_FILE);
  const isListAsked = flags.on('allow-list') || args.length === 0;
  const list = await listAt(path);
  if (isListAsked && list === undefined)
    throw new ReeveError('E_USAGE', `there is no ${path}: sign one first`, { path });
  const packages = await Promise.all(skillPaths(ctx, args).map(packageOf));
  for (const { manifest, digest } of list === undefined ? [] : packages) {
    const { name, version } = manifest;
    if (
      list?.document.entries.some(
        (entry) => entry.digest === digest && entry.name === name && entry.version === version,
      ) !== true
    )
      throw new ReeveError(
        'E_USAGE',
        `${name}@${version} as it is here is not on ${path}: no agent would run it`,
        { path, digest },
      );
  }
  const address = await controlAddress(ctx, flags);
  const skills: PublishedSkill[] = [];
  for (const { manifest, bytes } of packages) {
    const { json } = await askControl(ctx, address, {
      method: 'PUT',
      path: `/skills/${manifest.name}/${encodeURIComponent(manifest.version)}`,
      body: bytes,
      headers: { 'content-type': 'application/octet-stream' },
      timeoutMs: UPLOAD_MS,
    });
    skills.push(json as PublishedSkill);
  }
  if (list !== undefined)
    await askControl(ctx, address, {
      method: 'PUT',
      path: '/allowlist',
      body: await readFile(path),
      headers: { 'content-type': 'application/json' },
    });
  const serial = list?.document.serial;
  return {
    json: { skills, ...(serial === undefined ? {} : { allowlist: { path, serial } }) },
    text: [
      ...skills.map(({ name, version, digest }) => `published ${name}@${version} ${digest}`),
      ...(serial === undefined ? [] : [`published ${escapeControls(path)} serial=${serial}`]),
    ],
  };
};
