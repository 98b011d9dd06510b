import { readFileSync, writeFileSync } from 'node:fs';

/** Prints a result and, when asked, puts it between its marks in docs/benchmarks.md. */
export function publish(mark: string, text: string, write: boolean): void {
  process.stdout.write(text);
  if (!write) return;
  const file = new URL('../docs/benchmarks.md', import.meta.url);
  const [before = '', rest] = readFileSync(file, 'utf8').split(`<!-- ${mark} -->\n`);
  const after = rest?.split(`<!-- /${mark} -->\n`)[1];
  if (after === undefined) throw new Error(`docs/benchmarks.md has no marks for '${mark}'`);
  writeFileSync(file, `${before}<!-- ${mark} -->\n${text}<!-- /${mark} -->\n${after}`);
}
