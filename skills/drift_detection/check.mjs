// What is installed, against a list of what should be. The list may be written by any of the package managers' own listings.

import { rename, writeFile } from 'node:fs/promises';
import { CannotCheck, skill } from '#skill';

/** @typedef {Map<string, Set<string>>} Packages versions by name; without versions where a list names none */

const byText = (a, b) => (a < b ? -1 : Number(a > b));

function add(packages, name, version) {
  const versions = packages.get(name) ?? new Set();
  if (version !== undefined && version !== '') versions.add(version);
  packages.set(name, versions);
}

/** Paragraphs of `Key: value`, as dpkg and apk keep them. */
function* paragraphs(text, pattern) {
  for (const paragraph of text.split(/\n{2,}/)) {
    const fields = {};
    for (const [, key, value] of paragraph.matchAll(pattern)) fields[key] ??= value.trim();
    yield fields;
  }
}

const MANAGERS = {
  async dpkg(ctx) {
    const text = await ctx.read('/var/lib/dpkg/status');
    if (text === undefined) return undefined;
    const packages = new Map();
    for (const { Package: name, Version, Status } of paragraphs(text, /^(Package|Version|Status):(.*)$/gm)) {
      if (name === undefined) continue;
      if (Status === undefined) throw new CannotCheck('/var/lib/dpkg/status', `has no status for ${name}`);
      if (Status.endsWith(' installed')) add(packages, name, Version);
    }
    return packages;
  },
  async apk(ctx) {
    const text = await ctx.read('/lib/apk/db/installed');
    if (text === undefined) return undefined;
    const packages = new Map();
    for (const { P, V } of paragraphs(text, /^([PV]):(.*)$/gm)) if (P !== undefined) add(packages, P, V);
    return packages;
  },
  async rpm(ctx) {
    const tool = ctx.tool('rpm');
    if (tool === undefined) return undefined;
    const below = ctx.root === '/' ? [] : ['--root', ctx.root];
    const form = String.raw`%{NAME} %{VERSION}-%{RELEASE}\n`;
    const { code, stdout, stderr } = await ctx.run([tool, ...below, '-qa', '--qf', form]);
    if (code !== 0) throw new CannotCheck('rpm', `ends with ${code}: ${stderr.trim().split('\n')[0]}`);
    return parseList(stdout);
  },
};

/** @returns {Promise<{manager: string, packages: Packages}>} */
async function installed(ctx) {
  const asked = ctx.args.manager;
  for (const manager of asked === 'auto' ? ['dpkg', 'apk', 'rpm'] : [asked]) {
    const packages = await MANAGERS[manager](ctx);
    if (packages === undefined || packages.size === 0) continue;
    // Nobody's key is a package, though rpm lists it.
    packages.delete('gpg-pubkey');
    return { manager, packages };
  }
  if (asked !== 'auto') throw new CannotCheck(asked, 'knows of no packages here');
  return ctx.skip('neither dpkg, apk nor rpm keeps packages here');
}

/**
 * `name`, `name version`, `name version architecture`, and the table of `dpkg -l`, in any order; `#` comments.
 * @returns {Packages}
 */
function parseList(text) {
  const packages = new Map();
  const lines = text.split('\n').map((line) => line.trim());
  const isTable = lines.some((line) => line.startsWith('||/ ') || line.startsWith('+++-'));
  for (const line of lines) {
    if (line === '' || line.startsWith('#')) continue;
    const row = /^([a-z])([a-z])[a-z]?\s+(\S+)\s+(\S+)\s+(.*)$/i.exec(line);
    if (isTable || (row !== null && /^[uirph][nicufhwt]\s/.test(line) && /\s/.test(row[5]))) {
      if (row !== null && row[2] === 'i') add(packages, nameOf(row[3]), row[4]);
      continue;
    }
    const [name, version] = line.split(/\s+/);
    add(packages, nameOf(name), version);
  }
  return packages;
}

/** Without the architecture that dpkg appends to some. */
const nameOf = (text) => text.replace(/:[a-z0-9-]+$/, '');

/** Sorted, with versions: what `parseList` reads. */
function listOf(packages) {
  const lines = [...packages].flatMap(([name, versions]) =>
    versions.size === 0 ? [name] : [...versions].map((version) => `${name} ${version}`),
  );
  return `${lines.toSorted(byText).join('\n')}\n`;
}

function compare(ctx, baseline, packages) {
  const differences = { added: 0, removed: 0, changed: 0 };
  const tell = (kind, word, name, message, severity) => {
    differences[kind]++;
    ctx[word](`package_${kind}`, { where: name, message, severity });
  };
  const text = (versions) => [...versions].toSorted(byText).join(', ');
  for (const name of [...new Set([...packages.keys(), ...baseline.keys()])].toSorted(byText)) {
    const [was, is] = [baseline.get(name), packages.get(name)];
    if (was === undefined) tell('added', 'fail', name, `was added (${text(is)})`, 'medium');
    else if (is === undefined) tell('removed', 'fail', name, 'was removed', 'medium');
    else if (was.size > 0 && text(was) !== text(is) && ctx.args.versions !== 'ignore') {
      tell('changed', ctx.args.versions, name, `was ${text(was)}, is ${text(is)}`, 'low');
    }
  }
  for (const [kind, count] of Object.entries(differences)) ctx.metric(kind, count);
  if (differences.added + differences.removed + differences.changed === 0) {
    ctx.ok(ctx.args.baseline, `${packages.size} packages, as they should be`);
  }
}

async function update(ctx, packages) {
  const file = ctx.args.baseline;
  if (!ctx.args.apply) {
    ctx.warn('not_applied', {
      where: file,
      message: `would name ${packages.size} packages: say --apply as well`,
    });
    return;
  }
  const path = ctx.path(file);
  try {
    await writeFile(`${path}.tmp`, listOf(packages), { mode: 0o644 });
    await rename(`${path}.tmp`, path);
  } catch (error) {
    throw new CannotCheck(file, `cannot be written: ${error.code}`);
  }
  ctx.ok(file, `names ${packages.size} packages now`);
}

await skill({
  url: import.meta.url,
  positionals: ['baseline'],
  help: {
    baseline: 'list of packages: name, or name and version, on each line; dpkg -l will do',
    manager: 'who knows what is installed',
    versions: 'what another version than that of the baseline is',
    update: 'with --apply: write the baseline anew',
    apply: 'do so',
  },
  async check(ctx) {
    const { manager, packages } = await installed(ctx);
    ctx.metric('manager', manager);
    ctx.metric('packages', packages.size);
    const file = ctx.args.baseline;
    const text = await ctx.read(file);
    const baseline = text === undefined ? undefined : parseList(text);
    if (ctx.args.update) {
      await update(ctx, packages);
      return;
    }
    if (baseline === undefined) throw new CannotCheck(file, 'does not exist; --update --apply writes it');
    if (baseline.size === 0) throw new CannotCheck(file, 'names no package');
    compare(ctx, baseline, packages);
  },
});
