/** `reeve skills list`, `show`: skills of folders and packages, and those of a control plane. */
import { buildPackage } from '../../doors/agents/skills/package.ts';
import type { PublishedSkill } from '../../doors/agents/wire/skills.ts';
import { ReeveError } from '../../model/errors.ts';
import type { CliContext, CommandHandler, CommandResult, Flags } from '../command.ts';
import { askControl, controlAddress } from '../agents/control-client.ts';
import { escapeControls } from '../output.ts';
import { ownSkills, packageOf, skillPath, skillPaths } from '../agents/skill-places.ts';

export const skillsList: CommandHandler = async (ctx, { args, flags }) => {
  if (flags.on('url')) {
    if (args.length > 0)
      throw new ReeveError('E_USAGE', 'give folders or --url, not both', { flag: '--url' });
    const skills = await publishedSkills(ctx, flags);
    return {
      json: { skills },
      text: skills.map(publishedLine),
    };
  }
  const packages = await Promise.all(
    args.length === 0 ? ownSkills().map(buildPackage) : skillPaths(ctx, args).map(packageOf),
  );
  const skills = packages.map(({ manifest, digest }) => {
    const { name, version, pillar, description, destructive } = manifest;
    return { name, version, pillar, description, destructive, digest };
  });
  return {
    json: { skills },
    text: skills.map(({ name, version, description, destructive }) =>
      escapeControls(`${name}@${version}  ${description}${destructive ? ' (destructive with --apply)' : ''}`),
    ),
  };
};

export const skillsShow: CommandHandler = async (ctx, { args: [word = ''], flags }) => {
  if (flags.on('url')) return shownPublished(ctx, flags, word);
  const { manifest, digest, files, bytes } = await packageOf(skillPath(ctx, word));
  const { name, version, pillar, description, entry, interpreter, args, destructive, timeoutS, network } =
    manifest;
  const paths = files.map(({ path }) => path);
  return {
    json: {
      name,
      version,
      pillar,
      description,
      digest,
      size: bytes.length,
      entry,
      interpreter,
      args,
      destructive,
      timeout_s: timeoutS,
      network,
      requires: manifest.requires,
      platforms: manifest.platforms,
      secrets: manifest.secrets,
      exit_codes: manifest.exitCodes,
      files: paths,
    },
    text: [
      escapeControls(`${name}@${version} ${pillar}`),
      escapeControls(description),
      `digest=${digest} size=${bytes.length} files=${paths.length}`,
      `destructive=${destructive} network=${network} timeout_s=${timeoutS} secrets=${manifest.secrets.join(',') || 'none'}`,
      ...args.map((arg) => {
        const about = [
          arg.type,
          ...(arg.required === true ? ['required'] : []),
          ...(arg.default === undefined ? [] : [`default ${JSON.stringify(arg.default)}`]),
        ];
        return escapeControls(`  ${arg.name}  ${about.join(', ')}`);
      }),
    ],
  };
};

async function publishedSkills(ctx: CliContext, flags: Flags): Promise<readonly PublishedSkill[]> {
  const address = await controlAddress(ctx, flags);
  const { json } = await askControl(ctx, address, { method: 'GET', path: '/skills' });
  return (json as { readonly skills: readonly PublishedSkill[] }).skills;
}

/** @param word a name, or `name@version`. */
async function shownPublished(ctx: CliContext, flags: Flags, word: string): Promise<CommandResult> {
  const found = (await publishedSkills(ctx, flags)).filter(
    ({ name, version }) => word === name || word === `${name}@${version}`,
  );
  if (found.length === 0)
    throw new ReeveError('E_USAGE', `the control plane has no skill ${word}`, { value: word });
  return { json: { skills: found }, text: found.map(publishedLine) };
}

function publishedLine({ name, version, digest, published_at, published_by }: PublishedSkill): string {
  return `${name}@${version} ${digest} ${published_at} by ${escapeControls(published_by)}`;
}
