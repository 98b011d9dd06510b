import { resolve } from 'node:path';
import { writeFileAtomically } from '../../evidence/output-file.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';
import { packageOf, skillPaths } from '../agents/skill-places.ts';

/** Everything is built before anything is written. */
export const skillsPackage: CommandHandler = async (ctx, { args, flags }) => {
  const out = resolve(ctx.cwd, flags.text('out') ?? '.');
  const packages = await Promise.all(skillPaths(ctx, args).map(packageOf));
  const shown = [];
  for (const { manifest, fileName, bytes, digest } of packages) {
    const path = resolve(out, fileName);
    await writeFileAtomically(path, (sink) => sink.write(bytes), { mode: 0o644 });
    shown.push({ name: manifest.name, version: manifest.version, digest, size: bytes.length, path });
  }
  return {
    json: { packages: shown },
    text: shown.map(({ digest, path }) => `${digest}  ${escapeControls(path)}`),
  };
};
