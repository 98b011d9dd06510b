/** Answers from a file in the order of calls, for tests and for trying things out (contract arp §7.3). */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ReeveError } from '../../../model/errors.ts';
import { refuseProblems, problemsOf } from '../../validate.ts';
import { documentIn, fitting } from './document.ts';
import { type Llm, LlmError } from './llm.ts';

interface Fixture {
  readonly text: string;
  readonly parsed?: unknown;
}

const FIXTURES = {
  type: 'array',
  items: {
    type: 'object',
    required: ['text'],
    properties: { text: { type: 'string' }, parsed: {} },
    additionalProperties: false,
  },
} as const;

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function fixturesIn(file: string, variable: string): Promise<readonly Fixture[]> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    const problem = error instanceof SyntaxError ? 'it is no JSON' : (error as NodeJS.ErrnoException).code;
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${variable} names a file that cannot be read: ${problem}`,
      {
        variable,
        path: file,
      },
    );
  }
  refuseProblems(`the file of ${variable}`, await problemsOf(FIXTURES, value));
  return value as readonly Fixture[];
}

/** @param fixtures undefined: each answer is a hash of the request, which is no document. */
export function devMock(fixtures: readonly Fixture[] | undefined): Llm {
  let calls = 0;
  return {
    provider: 'dev-mock',
    model: 'dev-mock',
    async structured({ system, prompt, schema }) {
      if (fixtures === undefined) {
        const hash = createHash('sha256').update(`${system}\n${prompt}`).digest('hex');
        return documentIn(hash, schema);
      }
      const fixture = fixtures[calls];
      if (fixture === undefined)
        throw new LlmError('invalid_request', `all ${fixtures.length} fixtures of the mock were used`);
      calls += 1;
      return fixture.parsed === undefined
        ? documentIn(fixture.text, schema)
        : fitting(fixture.parsed, schema);
    },
  };
}
