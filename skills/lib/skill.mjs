// What every skill is made of: arguments in, findings out. A skill's check.mjs calls `skill()` once and exports nothing.
// The arguments are those of its skill.json, so that what is declared and what is understood cannot differ.

import { readFileSync } from 'node:fs';
import { helpText, parseArguments, UsageError } from './arguments.mjs';
import { printable, Report } from './report.mjs';
import { CannotCheck, System } from './system.mjs';

const EXIT = { pass: 0, violation: 1, usage: 2, skipped: 0, error: 4 };
const EXIT_SKIPPED_STRICT = 3;

class Skip extends Error {}

/**
 * Runs a skill and ends the process. Exit 0: pass, or skipped; 1: violation; 2: usage; 3: skipped, with
 * JARVAS_STRICT=1; 4: it could not be checked.
 * @param {object} spec
 * @param {string} spec.url `import.meta.url` of the caller: skill.json lies beside it
 * @param {readonly string[]} [spec.positionals] names of arguments that may also be given without their name, in order
 * @param {Readonly<Record<string, string>>} spec.help a few words for each argument of skill.json
 * @param {(ctx: Context) => Promise<void> | void} spec.check
 */
export async function skill({ url, positionals = [], help, check }) {
  const manifest = JSON.parse(readFileSync(new URL('skill.json', url), 'utf8'));
  let given;
  try {
    given = parseArguments(manifest, positionals, process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const text = `${manifest.name}: ${printable(error.message)}; see --help\n`;
    return process.stderr.write(text, () => process.exit(EXIT.usage));
  }
  if (given.help) {
    return process.stdout.write(helpText(manifest, positionals, help), () => process.exit(EXIT.pass));
  }

  const report = new Report(manifest.name, manifest.version);
  const overtime = new AbortController();
  await perform(manifest, new Context(given, report, overtime.signal), check, overtime);
  let exit = EXIT[report.outcome];
  if (report.outcome === 'skipped' && process.env['JARVAS_STRICT'] === '1') exit = EXIT_SKIPPED_STRICT;
  try {
    report.save(process.env['JARVAS_ARTIFACTS_DIR']);
  } catch (error) {
    report.error('report.json', `cannot be written: ${error.code ?? error.message}`);
    exit = EXIT.error;
  }
  const lines = given.json ? [{ stream: 'stdout', text: report.json() }] : report.lines;
  process.stdout.on('error', () => process.exit(exit)); // whoever reads may have gone
  for (const { stream, text } of lines) process[stream].write(text);
  process.stdout.write('', () => process.exit(exit));
}

/** The check itself, within `timeout_s` of skill.json. Whatever goes wrong becomes an outcome. */
async function perform(manifest, ctx, check, overtime) {
  let timer;
  const late = new Promise((_, reject) => {
    const message = `not done within ${manifest.timeout_s} s`;
    timer = setTimeout(() => reject(new CannotCheck('', message)), manifest.timeout_s * 1000);
  });
  try {
    await Promise.race([check(ctx), late]);
  } catch (error) {
    if (error instanceof Skip) ctx.report.skip(error.message);
    else if (error instanceof CannotCheck) ctx.report.error(error.where, error.message);
    else ctx.report.error('', `${error?.code ?? error?.name ?? 'Error'}: ${error?.message ?? error}`);
  } finally {
    clearTimeout(timer);
    overtime.abort(); // children that still run
  }
}

/** What a check is given: its arguments, the system it looks at, and where its findings go. */
class Context extends System {
  #given;

  constructor({ values, root, given }, report, signal) {
    super(root, signal);
    this.#given = given;
    /** Values by name of argument: numbers for `int`, booleans for `bool`, otherwise text; undefined without a default. */
    this.args = values;
    this.report = report;
  }

  /** Something that is as it should be. */
  ok(where, message) {
    this.report.ok(where, message);
  }

  /** Something worth knowing that is as it should be: it is in the report as well. */
  note(id, { where = '', message }) {
    this.report.find('OK', { id, severity: 'info', where, message });
  }

  /** A finding that does not fail the check. @param {string} id stable, snake_case: what kind of finding it is */
  warn(id, { where = '', message, severity = 'low' }) {
    this.report.find('WARN', { id, severity, where, message });
  }

  /** A violation. @param {'info'|'low'|'medium'|'high'|'critical'} [finding.severity] */
  fail(id, { where = '', message, severity = 'high' }) {
    this.report.find('FAIL', { id, severity, where, message });
  }

  /** Ends the check: it is not applicable here. @returns {never} */
  skip(reason) {
    throw new Skip(reason);
  }

  /** Something could not be checked; the rest goes on. Throw `CannotCheck` to end the check instead. */
  error(where, message) {
    this.report.error(where, message);
  }

  /** A number that the report carries. */
  metric(name, value) {
    this.report.metrics[name] = value;
  }

  /** Whether an argument was given, and is not its default. */
  isGiven(name) {
    return this.#given.has(name);
  }

  /** The parts of a comma-separated argument, trimmed, without empty ones. */
  words(name) {
    const parts = (this.args[name] ?? '').split(',').map((part) => part.trim());
    return parts.filter((part) => part !== '');
  }
}

export { CannotCheck };
