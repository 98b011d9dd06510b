import { validateSkill } from '../../doors/agents/skills/validate.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';
import { skillPaths } from '../agents/skill-places.ts';

export const skillsValidate: CommandHandler = async (ctx, { args }) => {
  const skills = [];
  for (const path of skillPaths(ctx, args)) {
    ctx.signal.throwIfAborted();
    const { built, cases, problems } = await validateSkill(path);
    const { name, version } = built?.manifest ?? {};
    skills.push({
      path,
      ok: problems.length === 0,
      ...(built === undefined
        ? {}
        : { name, version, digest: built.digest, size: built.bytes.length, file: built.fileName }),
      cases,
      problems: problems.map(({ reason, message, file }) => ({
        reason,
        message,
        ...(file === undefined ? {} : { file }),
      })),
    });
  }
  const ok = skills.every((skill) => skill.ok);
  const text = skills.flatMap(({ path, name, version, digest, cases, problems }) =>
    problems.length === 0
      ? [`ok ${name}@${version} ${digest} (${cases} cases)`]
      : problems.map(
          ({ reason, message }) => `bad ${escapeControls(path)}: ${reason}: ${escapeControls(message)}`,
        ),
  );
  return { json: { ok, skills }, text, exitCode: ok ? 0 : 1 };
};
