/** Single keys from the terminal. */

/** An arrow with its escape sequence, or one character. */
// eslint-disable-next-line no-control-regex -- an escape sequence begins with one
const KEYS = /\u001b[[O][A-D]|[\s\S]/g;

export function isQuit(key: string): boolean {
  return ['q', 'Q', '\u0003', '\u0004'].includes(key);
}

/** Raw mode until the returned function is called, or the process ends. Without a terminal nothing is listened to. */
export function listenForKeys(onKey: (key: string) => void): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => undefined;
  const onData = (data: Buffer): void => {
    for (const [key] of data.toString('latin1').matchAll(KEYS)) onKey(key);
  };
  let isListening = true;
  const restore = (): void => {
    if (!isListening) return;
    isListening = false;
    process.off('exit', restore);
    stdin.off('data', onData);
    stdin.setRawMode(false);
    stdin.pause();
  };
  process.once('exit', restore);
  stdin.setRawMode(true);
  stdin.on('data', onData);
  stdin.resume();
  return restore;
}
