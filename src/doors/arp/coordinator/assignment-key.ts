/** The key of assignment tokens, kept beside the store and made on first use. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../../../evidence/output-file.ts';
import { ReeveError } from '../../../model/errors.ts';

const FILE = 'arp-assignment.key';
const KEY_BYTES = 32;

/** @throws ReeveError E_STORE_UNAVAILABLE, E_STORE_CORRUPT for a file that holds no key */
export async function assignmentKey(root: string): Promise<Uint8Array> {
  const file = join(root, FILE);
  return (await keyIn(file)) ?? (await makeKey(file));
}

async function makeKey(file: string): Promise<Uint8Array> {
  const text = `${randomBytes(KEY_BYTES).toString('hex')}\n`;
  try {
    await writeFileAtomically(file, (sink) => sink.write(new TextEncoder().encode(text)), { replace: false });
  } catch (error) {
    const made = await keyIn(file); // by another process, meanwhile
    if (made === undefined) throw error;
    return made;
  }
  return Buffer.from(text.trim(), 'hex');
}

async function keyIn(file: string): Promise<Uint8Array | undefined> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new ReeveError('E_STORE_UNAVAILABLE', `the key ${file} cannot be read (${code})`, { file });
  }
  if (/^[0-9a-f]{64}$/.test(text)) return Buffer.from(text, 'hex');
  throw new ReeveError('E_STORE_CORRUPT', `${file} holds no key of 64 hex digits`, { file });
}
