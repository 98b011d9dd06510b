import { access } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { writeFileAtomically } from '../../evidence/output-file.ts';
import { ReeveError } from '../../model/errors.ts';
import { readSmallFile, variable } from '../../policy/key-source.ts';
import { generatePrivateKey, isPublicKeyText, privateKeyFrom, publicKeyFrom } from '../../policy/keys.ts';
import type { CommandHandler } from '../command.ts';
import { escapeControls } from '../output.ts';

export const keysGenerate: CommandHandler = async (ctx, { flags }) => {
  const out = flags.text('out') ?? '';
  if (out === '') {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'keys generate needs --out, the file of the new key', {
      flag: '--out',
    });
  }
  const replace = flags.on('force');
  const privatePath = resolve(ctx.cwd, out);
  const publicPath = `${privatePath}.pub`;
  if (!replace) for (const path of [privatePath, publicPath]) await requireAbsent(path);
  const passphrase = variable(ctx.env, 'SIGNING_KEY_PASSPHRASE').value;
  const pem = generatePrivateKey(passphrase);
  const { publicKey } = privateKeyFrom(pem, 'the new key', passphrase);
  await writeFileAtomically(privatePath, (sink) => sink.write(Buffer.from(pem)), { replace });
  await writeFileAtomically(publicPath, (sink) => sink.write(Buffer.from(publicKey.pem)), {
    replace,
    mode: 0o644,
  });
  return {
    json: { key_id: publicKey.keyId, private_key_path: privatePath, public_key_path: publicPath },
    text: [
      `key_id=${publicKey.keyId}`,
      `private_key=${escapeControls(privatePath)}${passphrase === undefined ? '' : ' (encrypted)'}`,
      `public_key=${escapeControls(publicPath)}`,
    ],
  };
};

export const keysShow: CommandHandler = async (ctx, { args }) => {
  const [file = ''] = args;
  const from = file === '-' ? 'standard input' : file;
  const given =
    file === '-' ? await text(process.stdin) : (await readSmallFile(resolve(ctx.cwd, file), 'the key')).text;
  const { value: passphrase } = variable(ctx.env, 'SIGNING_KEY_PASSPHRASE');
  const { keyId, pem } = isPublicKeyText(given)
    ? publicKeyFrom(given, from)
    : privateKeyFrom(given, from, passphrase).publicKey;
  return {
    json: { key_id: keyId, public_key: pem },
    text: [`key_id=${keyId}`, ...pem.trimEnd().split('\n')],
  };
};

/** For a plain answer before anything is written; that nothing is replaced is seen to when the file is placed. */
async function requireAbsent(path: string): Promise<void> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (!isThere) return;
  throw new ReeveError('E_INVALID_INPUT_SCHEMA', `${path} exists already; --force replaces it`, {
    flag: '--out',
    path,
  });
}
