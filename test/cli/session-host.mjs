// Carries out commands of the built program one after the other, each with the environment, the directory and the streams
// that it is given. Started by session.ts.
const { main } = await import(new URL('../../dist/cli/main.js', import.meta.url).href);

for (const stream of [process.stdout, process.stderr]) stream.setMaxListeners(0); // every command adds its own

/** @param {{ write: unknown }} stream @returns {() => string} ends the capture and gives what was written */
function capture(stream) {
  const { write } = stream;
  /** @type {Buffer[]} */
  const pieces = [];
  stream.write = (/** @type {string | Uint8Array} */ piece, /** @type {unknown[]} */ ...rest) => {
    pieces.push(Buffer.from(/** @type {string} */ (piece)));
    const done = rest.find((each) => typeof each === 'function');
    if (done !== undefined) queueMicrotask(/** @type {() => void} */ (done));
    return true;
  };
  return () => {
    stream.write = write;
    return Buffer.concat(pieces).toString();
  };
}

/** @param {import('./session.ts').Asked} asked */
async function carryOut({ argv, program, env, cwd }) {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  Object.assign(process.env, env);
  process.chdir(cwd);
  const [stdout, stderr] = [capture(process.stdout), capture(process.stderr)];
  const code = await main(argv, program);
  process.send?.({ code, stdout: stdout(), stderr: stderr() });
}

process.on('message', (/** @type {import('./session.ts').Asked} */ asked) => void carryOut(asked));
process.send?.('ready');
