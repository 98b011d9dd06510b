/** Writes tar files, also such as nobody should read. */

export interface TarEntry {
  readonly name: string;
  readonly content?: string | Uint8Array;
  /** `0` file (default), `5` folder, `1` and `2` links, … */
  readonly type?: string;
  readonly link?: string;
  readonly mode?: number;
  /** What the header claims, in place of the size of the content. */
  readonly size?: number;
}

export function tarOf(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(parts), Buffer.alloc(1024)]);
}

function parts({ name, content = '', type = '0', link = '', mode = 0o644, size }: TarEntry): Buffer[] {
  const body = Buffer.from(content);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
  header.write(`${'0'.repeat(7)}\0`, 108);
  header.write(`${'0'.repeat(7)}\0`, 116);
  header.write(`${(size ?? body.length).toString(8).padStart(11, '0')}\0`, 124);
  header.write(`${'0'.repeat(11)}\0`, 136);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write('ustar\0', 257);
  header.write('00', 263);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
}
