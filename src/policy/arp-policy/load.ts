/** A policy file and the language it is in: `.cedar` is Cedar, everything else JSON with statements. */
import { open } from 'node:fs/promises';
import { ReeveError } from '../../model/errors.ts';
import { cedarEngine } from './cedar.ts';
import type { PolicyEngine } from './engine.ts';
import { statementEngine } from './evaluate.ts';

const FILE_BYTES_MAX = 4 * 1_048_576;

/** @throws ReeveError E_INVALID_INPUT_SCHEMA when it cannot be read, or is no policy. */
export async function loadPolicy(path: string): Promise<PolicyEngine> {
  const text = await readPolicy(path);
  return policyOf(path, text);
}

/** Reads on every request, as the file may change, and parses only when it has. */
export function policyFile(path: string): () => Promise<PolicyEngine> {
  let known: { readonly text: string; readonly engine: PolicyEngine } | undefined;
  return async () => {
    const text = await readPolicy(path);
    if (known?.text !== text) known = { text, engine: await policyOf(path, text) };
    return known.engine;
  };
}

async function policyOf(path: string, text: string): Promise<PolicyEngine> {
  return path.toLowerCase().endsWith('.cedar') ? cedarEngine(text) : statementEngine(text);
}

async function readPolicy(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > FILE_BYTES_MAX) throw refusal(path, `is larger than ${FILE_BYTES_MAX} bytes`);
      return new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile());
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof ReeveError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw refusal(
      path,
      code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'is no UTF-8' : `cannot be read (${code})`,
    );
  }
}

function refusal(path: string, problem: string): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `the policy file ${path} ${problem}`, {
    file: path,
    problem,
  });
}
