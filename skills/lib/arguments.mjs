// Arguments as skill.json declares them: each as --name value or --name=value, some also by their place.

export class UsageError extends Error {}

const TYPES = {
  string: /^[^\0]*$/,
  int: /^-?\d{1,15}$/,
  path: /^[^\0]+$/,
  url: /^https?:\/\/[^\s/]/i,
  host: /^[A-Za-z0-9[\]:._-]+$/,
  bool: /^(?:true|false)$/,
  enum: /^/,
};

/** @returns values by name, which were given, and what every skill knows: help, json, root. @throws {UsageError} */
export function parseArguments(manifest, positionals, argv) {
  const known = new Map(manifest.args.map((arg) => [arg.name, arg]));
  known.set('root', { name: 'root', type: 'path', default: '/' });
  for (const name of ['help', 'json']) known.set(name, { name, type: 'bool', default: false });
  const texts = new Map();
  const set = (name, text) => {
    if (texts.has(name)) throw new UsageError(`${name} is given twice`);
    texts.set(name, text);
  };

  const places = [...positionals];
  for (let at = 0, named = true; at < argv.length; at++) {
    const word = argv[at];
    if (named && word === '--') {
      named = false;
    } else if (named && /^--./.test(word)) {
      const [, name, text] = /^--([^=]*)(?:=(.*))?$/s.exec(word);
      const arg = known.get(name);
      if (arg === undefined) throw new UsageError(`--${name} is not an option`);
      if (text === undefined && arg.type !== 'bool' && at + 1 === argv.length) {
        throw new UsageError(`--${name} needs a value`);
      }
      set(name, text ?? (arg.type === 'bool' ? 'true' : argv[++at]));
    } else if (named && /^-[a-z]$/i.test(word)) {
      throw new UsageError(`${word} is not an option`);
    } else {
      const name = places.shift();
      if (name === undefined) throw new UsageError(`${JSON.stringify(word)} is one argument too many`);
      set(name, word);
    }
  }

  const values = {};
  for (const arg of known.values()) values[arg.name] = valueOf(arg, texts.get(arg.name));
  const { help, json, root, ...own } = values;
  if (!help) {
    const missing = manifest.args.find(({ name, required }) => required === true && own[name] === undefined);
    if (missing !== undefined) throw new UsageError(`${missing.name} is missing`);
  }
  return { values: own, help, json, root, given: new Set(texts.keys()) };
}

/** Defaults of skill.json may be written as text or as what they are. */
function valueOf(arg, text) {
  if (text === undefined && arg.default === undefined) return undefined;
  const value = text ?? String(arg.default);
  const bad = (what) => new UsageError(`${arg.name} is ${JSON.stringify(value)}, which is not ${what}`);
  if (!TYPES[arg.type].test(value)) throw bad(`of type ${arg.type}`);
  if (arg.enum !== undefined && !arg.enum.map(String).includes(value))
    throw bad(`one of ${arg.enum.join(', ')}`);
  if (arg.pattern !== undefined && !new RegExp(`^(?:${arg.pattern})$`, 'u').test(value)) {
    throw bad(`of the form ${arg.pattern}`);
  }
  if (arg.type === 'int') return Number(value);
  return arg.type === 'bool' ? value === 'true' : value;
}

export function helpText(manifest, positionals, help) {
  const usage = ['usage: node check.mjs', ...positionals.map((name) => `[${name}]`), '[--option …]'];
  const rows = manifest.args.map((arg) => {
    const isFlag = arg.type === 'bool';
    const value = isFlag ? '' : ` ${arg.enum?.join('|') ?? arg.type.toUpperCase()}`;
    const standard = arg.default === undefined || isFlag ? '' : ` (= ${arg.default})`;
    return [`--${arg.name}${value}`, `${help[arg.name] ?? ''}${standard}`];
  });
  rows.push(
    ['--root PATH', 'system files are read below it (= /)'],
    ['--json', 'print the report instead of lines'],
    ['--help', 'print this'],
  );
  const width = Math.max(...rows.map(([left]) => left.length));
  const table = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd());
  return [
    `${manifest.name} ${manifest.version}: ${manifest.description}`,
    '',
    usage.join(' '),
    '',
    ...table,
    '',
    'exit: 0 pass or skipped, 1 violation, 2 usage, 3 skipped with JARVAS_STRICT=1, 4 could not check',
    '',
  ].join('\n');
}
