// `report.mjs draft` writes draft.json and draft.md from the four results. `report.mjs publish` makes them the report,
// byte for byte: what is published is what was approved, whatever has been scanned since.
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { out, readResult, root, trail, writeFile } from './audit.mjs';

const KINDS = ['json', 'md'];
const [mode] = process.argv.slice(2);
if (mode === 'draft') draft();
else if (mode === 'publish') publish();
else {
  process.stderr.write('usage: report.mjs draft | publish\n');
  process.exitCode = 2;
}

function draft() {
  trail('draft started');
  const results = {
    inventory: readResult('inventory'),
    secrets: readResult('secrets'),
    dependencies: readResult('dependencies'),
    tests: readResult('tests'),
  };
  const rows = rowsOf(results);
  const verdict = rows.some(({ result }) => result === 'fail')
    ? 'fail'
    : rows.some(({ result }) => result === 'attention')
      ? 'attention'
      : 'pass';
  const report = { repository: basename(root), verdict, checks: rows, ...results };
  writeFile('draft.json', `${JSON.stringify(report, undefined, 2)}\n`);
  writeFile('draft.md', markdown(report));
  trail('draft done');
  process.stdout.write(`verdict=${verdict} draft=${join(out, 'draft.md')}\n`);
}

function publish() {
  trail('report started');
  for (const kind of KINDS) writeFile(`report.${kind}`, readFileSync(join(out, `draft.${kind}`)));
  const to = process.env.AUDIT_PUBLISH;
  if (to) {
    mkdirSync(resolve(to), { recursive: true });
    for (const kind of KINDS) copyFileSync(join(out, `report.${kind}`), join(resolve(to), `report.${kind}`));
  }
  trail('report done');
  process.stdout.write(`report=${join(to ? resolve(to) : out, 'report.md')}\n`);
}

function rowsOf({ inventory, secrets, dependencies, tests }) {
  const { history } = inventory;
  const testFiles = tests.files.reduce((sum, { files }) => sum + files, 0);
  const duplicates = dependencies.locks.reduce((sum, { duplicates: found = [] }) => sum + found.length, 0);
  const declared = dependencies.manifests.reduce(
    (sum, { dependencies: found = [] }) => sum + found.length,
    0,
  );
  const command = tests.commands[0]?.command;
  return [
    {
      check: 'inventory',
      result: inventory.uncommitted > 0 || history.commits === 0 ? 'attention' : 'pass',
      details: `${inventory.files} files, ${size(inventory.bytes)}, ${history.commits} commits, ${inventory.uncommitted} uncommitted changes`,
    },
    {
      check: 'secrets',
      result: secrets.findings.length > 0 ? 'fail' : 'pass',
      details: `${secrets.findings.length} findings in ${secrets.scanned} files (${secrets.skipped} not text, ${secrets.allowed} allowed)`,
    },
    {
      check: 'dependencies',
      result: dependencies.problems.length > 0 ? 'attention' : 'pass',
      details: `${declared} declared in ${dependencies.manifests.length} manifests, ${duplicates} locked in several versions, ${dependencies.problems.length} problems`,
    },
    {
      check: 'tests',
      result: testsResult(tests, testFiles),
      details: `${testFiles} test files; ${command === undefined ? 'no test command found' : `run them with ${command}`}${ranText(tests.run)}`,
    },
  ];
}

function testsResult({ commands, run }, testFiles) {
  if (run !== undefined) return run.exitCode === 0 ? 'pass' : 'fail';
  return commands.length === 0 || testFiles === 0 ? 'attention' : 'pass';
}

function ranText(run) {
  return run === undefined
    ? ' (not run)'
    : `; ran in ${run.seconds} s, exit code ${run.exitCode ?? run.signal}`;
}

function markdown({ repository, verdict, checks, inventory, secrets, dependencies, tests }) {
  const { last, branch } = inventory.history;
  const lines = [
    `# Audit of ${cell(repository)}`,
    '',
    `Verdict: **${verdict}**`,
    '',
    ...table(
      ['check', 'result', 'details'],
      checks.map(({ check, result, details }) => [check, result, details]),
    ),
    '',
    '## Inventory',
    '',
    last === undefined
      ? 'No commit yet.'
      : `Last commit \`${last.commit.slice(0, 12)}\` on ${cell(branch)}, ${last.at}: ${cell(last.subject)}`,
    '',
    ...table(
      ['type', 'files', 'size'],
      inventory.types.slice(0, 12).map(({ type, files, bytes }) => [type, files, size(bytes)]),
    ),
    '',
    'Largest files:',
    '',
    ...table(
      ['file', 'size'],
      inventory.largest.slice(0, 5).map(({ path, bytes }) => [path, size(bytes)]),
    ),
    '',
    '## Secrets',
    '',
    ...(secrets.findings.length === 0
      ? ['None found.']
      : table(
          ['place', 'kind'],
          secrets.findings.slice(0, 100).map(({ file, line, kind }) => [`${file}:${line}`, kind]),
        )),
    ...more(secrets.findings.length, 100),
    '',
    '## Dependencies',
    '',
    ...(dependencies.manifests.length === 0
      ? ['No manifest found.']
      : table(
          ['manifest', 'kind', 'declared'],
          dependencies.manifests
            .slice(0, 50)
            .map(({ file, kind = '?', dependencies: found = [] }) => [file, kind, found.length]),
        )),
    ...dependencies.locks
      .slice(0, 20)
      .flatMap(({ file, packages, duplicates = [] }) => [
        '',
        `${cell(file)}: ${packages ?? '?'} packages, ${duplicates.length} in several versions${duplicates.length === 0 ? '.' : ':'}`,
        ...duplicates
          .slice(0, 20)
          .map(({ name, versions }) => `- ${cell(name)} ${cell(versions.join(', '))}`),
        ...more(duplicates.length, 20),
      ]),
    ...(dependencies.others.length === 0
      ? []
      : ['', `Seen, not read: ${dependencies.others.slice(0, 20).map(cell).join(', ')}`]),
    ...(dependencies.problems.length === 0
      ? []
      : ['', 'Problems:', '', ...dependencies.problems.slice(0, 50).map((problem) => `- ${cell(problem)}`)]),
    '',
    '## Tests',
    '',
    ...(tests.commands.length === 0
      ? ['No test command found.']
      : tests.commands.map(({ command, from }) => `- \`${command}\` (${cell(from)})`)),
    ...tests.files.map(({ language, files }) => `- ${language}: ${files} test files`),
  ];
  return `${lines.join('\n')}\n`;
}

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`);
}

/** A file name or a commit subject may hold anything; it stays one cell of one line. */
function cell(value) {
  return String(value)
    .replaceAll(/\p{Cc}/gu, ' ')
    .replaceAll(/[\\|`<>*_[\]]/g, '\\$&');
}

function more(count, shown) {
  return count > shown ? ['', `… and ${count - shown} more, in report.json.`] : [];
}

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < 3) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
