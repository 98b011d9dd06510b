import { readFile } from 'node:fs/promises';
import { compilePattern } from '../../../../policy/redaction/pattern-redactor.ts';
import { ReeveError } from '../../../../model/errors.ts';
import { problemsOf, refuseProblems, type Problem } from '../../../validate.ts';
import { templateProblems } from '../command/template.ts';
import { allowedHosts } from '../web/allowed-hosts.ts';
import { ATOMIC_CONFIG, type AtomicConfig } from './schema.ts';

const BYTES_MAX = 1_048_576;

/** YAML, of which JSON is a part. @throws ReeveError E_INVALID_INPUT_SCHEMA with every problem and its place */
export async function readAtomicConfig(file: string): Promise<AtomicConfig> {
  const value = await parsed(file);
  refuseProblems(file, await problemsOf(ATOMIC_CONFIG, value));
  const config = value as AtomicConfig;
  refuseProblems(file, [...hostProblems(config), ...serverProblems(config), ...commandProblems(config)]);
  return config;
}

async function parsed(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw refusal(file, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (text.length > BYTES_MAX) throw refusal(file, `is larger than ${BYTES_MAX} bytes`);
  const { parseDocument } = await import('yaml');
  const doc = parseDocument(text, { version: '1.2', schema: 'core' });
  const [problem] = [...doc.errors, ...doc.warnings];
  if (problem !== undefined) throw refusal(file, `is no plain YAML: ${problem.message.split('\n')[0]}`);
  try {
    return doc.toJS() ?? {};
  } catch (error) {
    throw refusal(file, `is no plain YAML: ${(error as Error).message}`);
  }
}

function refusal(file: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${file} ${problem}`, { file, problem });
}

function hostProblems({ web_fetch: web }: AtomicConfig): Problem[] {
  return (web?.allow ?? []).flatMap((entry, at) =>
    problemIn(`/web_fetch/allow/${at}`, () => allowedHosts([entry])),
  );
}

function serverProblems({ mcp_servers: servers = {} }: AtomicConfig): Problem[] {
  return Object.entries(servers).flatMap(([name, server]): Problem[] => {
    const field = `/mcp_servers/${name}`;
    const { command, url } = server;
    if ((command === undefined) === (url === undefined))
      return [{ field, problem: 'must have either a command or a url' }];
    if (command !== undefined) {
      const odd = server.headers_from_env === undefined ? [] : ['headers_from_env'];
      return odd.map((key) => ({ field: `${field}/${key}`, problem: 'only fits a server with a url' }));
    }
    const odd = (['cwd', 'env'] as const).filter((key) => server[key] !== undefined);
    if (!/^https?:$/.test(URL.parse(url ?? '')?.protocol ?? ''))
      return [{ field: `${field}/url`, problem: 'must be an http or https URL' }];
    return odd.map((key) => ({ field: `${field}/${key}`, problem: 'only fits a server with a command' }));
  });
}

function commandProblems({ commands = {} }: AtomicConfig): Problem[] {
  return Object.entries(commands).flatMap(([id, command]) => {
    const field = `/commands/${id.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    return [
      ...templateProblems(command).map(({ at, problem }) => ({ field: `${field}/argv/${at}`, problem })),
      ...(command.redact ?? []).flatMap((pattern, at) =>
        problemIn(`${field}/redact/${at}`, () => compilePattern(pattern)),
      ),
    ];
  });
}

function problemIn(field: string, look: () => unknown): Problem[] {
  try {
    look();
    return [];
  } catch (error) {
    return [{ field, problem: (error as Error).message }];
  }
}
