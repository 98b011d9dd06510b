// Programs in a real pseudo-terminal (python3's pty), and what its screen shows in the end.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { dirname } from 'node:path';
import { until } from '../rig.ts';

/** Reads `{"input"}`, `{"size"}` and `{"signal"}` lines; everything that the program prints goes to stdout. */
const HARNESS = `
import fcntl, json, os, pty, select, signal, struct, sys, termios
cols, rows, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
def resize(fd, cols, rows): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))
pid, fd = pty.fork()
if pid == 0:
    resize(0, cols, rows)
    os.execvp(argv[0], argv)
pending, open_in = b'', True
while True:
    ready, _, _ = select.select([fd] + ([0] if open_in else []), [], [])
    if fd in ready:
        try: data = os.read(fd, 65536)
        except OSError: break
        if not data: break
        os.write(1, data)
    if 0 in ready:
        data = os.read(0, 65536)
        if not data: open_in = False
        pending += data
        while b'\\n' in pending:
            line, pending = pending.split(b'\\n', 1)
            order = json.loads(line)
            if 'input' in order: os.write(fd, order['input'].encode())
            if 'size' in order:
                while select.select([fd], [], [], 0)[0]: os.write(1, os.read(fd, 65536))
                resize(fd, *order['size'])
                os.write(1, b'\\x1b]size=%d,%d\\x07' % tuple(order['size']))
            if 'signal' in order: os.kill(pid, getattr(signal, order['signal']))
            if 'modes' in order: os.write(1, b'\\x1b]modes=%d\\x07' % bool(termios.tcgetattr(fd)[3] & termios.ICANON))
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
`;

export const hasTerminal = spawnSync('python3', ['-c', 'import pty, fcntl, termios']).status === 0;

export interface TerminalOptions {
  readonly columns: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
}

export class Terminal {
  readonly ended: Promise<number | null>;
  readonly screen: Screen;
  readonly #child: ChildProcess;
  #output = '';

  constructor(argv: readonly string[], { columns, rows = 24, env = {} }: TerminalOptions) {
    this.screen = new Screen(columns, rows);
    const { PATH = '' } = process.env;
    this.#child = spawn('python3', ['-c', HARNESS, String(columns), String(rows), ...argv], {
      env: {
        PATH: `${dirname(process.execPath)}:${PATH}`,
        HOME: '/home/x',
        TERM: 'xterm-256color',
        LANG: 'C.UTF-8',
        ...env,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      this.screen.write(text);
    });
    this.ended = new Promise((resolve) => this.#child.on('close', (code) => resolve(code)));
  }

  /** All that was printed, with its control sequences. */
  get output(): string {
    return this.#output;
  }
  type(input: string): void {
    this.#order({ input });
  }
  resize(columns: number, rows: number): void {
    this.#order({ size: [columns, rows] });
  }
  /** Sends the program a signal: SIGUSR2 for the next view. */
  signal(signal: NodeJS.Signals): void {
    this.#order({ signal });
  }
  /** Whether the terminal is in its usual mode: lines, with echo and Ctrl-C. */
  async isCooked(): Promise<boolean> {
    const at = this.#output.length;
    this.#order({ modes: true });
    await this.until('the modes', () => this.#output.includes('\u001b]modes=', at));
    return this.#output.includes('\u001b]modes=1', at);
  }
  async until(what: string, condition: () => boolean): Promise<void> {
    await until(condition, what).catch((cause: unknown) => {
      throw new Error(`no ${what} on the screen:\n${this.screen.lines.join('\n')}`, { cause });
    });
  }
  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  #order(order: object): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
  }
}

const PIECE =
  // oxlint-disable-next-line no-control-regex -- matching control sequences is the purpose
  /\u001b\[(\??[\d;]*)([A-Za-z])|\u001b\](?:size=(\d+),(\d+)|[^\u0007]*)\u0007|\r|\n|[^\u001b\r\n]/gu;

/** As much of a terminal as the views use. Rows that were wrapped flow together again when the width changes. */
export class Screen {
  #columns: number;
  #rows: number;
  /** Rows above the window stay: nothing may change them any more. */
  #grid: { text: string[]; isWrapped: boolean }[] = [{ text: [], isWrapped: false }];
  #row = 0;
  #column = 0;
  isCursorVisible = true;
  /** Redraws seen: cursor movements to the top of a block. */
  redraws = 0;

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  /** Rows with text on them, from the first to the last. */
  get lines(): string[] {
    const lines = this.#grid.map(({ text }) => text.join('').trimEnd());
    while (lines.at(-1) === '') lines.pop();
    return lines;
  }

  write(text: string): void {
    for (const [piece, parameter = '', final, columns, rows] of text.matchAll(PIECE)) {
      if (columns !== undefined) this.#resize(Number(columns), Number(rows));
      else if (final !== undefined) this.#control(parameter, final);
      else if (piece === '\r') this.#column = 0;
      else if (piece === '\n') this.#moveTo(this.#row + 1, this.#column, false);
      else if (!piece.startsWith('\u001b')) this.#print(piece);
    }
  }

  #resize(columns: number, rows: number): void {
    const logical: string[][] = [];
    let cursorLine = 0;
    for (const [at, { text, isWrapped }] of this.#grid.entries()) {
      if (isWrapped) logical.at(-1)?.push(...text);
      else logical.push([...text]);
      if (at === this.#row) cursorLine = logical.length - 1;
    }
    this.#columns = columns;
    this.#rows = rows;
    this.#grid = [];
    for (const [at, line] of logical.entries()) {
      if (at === cursorLine) this.#row = this.#grid.length;
      for (let from = 0; from === 0 || from < line.length; from += columns) {
        this.#grid.push({ text: line.slice(from, from + columns), isWrapped: from > 0 });
      }
    }
    this.#column = Math.min(this.#column, columns - 1);
  }

  #control(parameter: string, final: string): void {
    const row = this.#grid[this.#row];
    if (final === 'A') {
      // Nothing above the window can be reached.
      const top = Math.max(0, this.#grid.length - this.#rows);
      this.#row = Math.max(top, this.#row - Number(parameter || 1));
      this.redraws += 1;
    } else if (final === 'K') row?.text.splice(this.#column);
    else if (final === 'J') {
      row?.text.splice(this.#column);
      this.#grid.splice(this.#row + 1);
    } else if (parameter === '?25') this.isCursorVisible = final === 'h';
    else if (final !== 'm')
      throw new Error(`a control sequence that this screen does not know: ${parameter}${final}`);
  }

  #print(char: string): void {
    const width = /\p{Script=Han}|\p{Emoji_Presentation}/u.test(char) ? 2 : 1;
    if (this.#column + width > this.#columns) {
      this.#moveTo(this.#row + 1, 0, true);
    }
    const text = this.#grid[this.#row]?.text ?? [];
    while (text.length < this.#column) text.push(' ');
    text.splice(this.#column, width, char, ...(width === 2 ? [''] : []));
    this.#column += width;
  }

  #moveTo(row: number, column: number, isWrapped: boolean): void {
    this.#row = row;
    this.#column = column;
    while (this.#grid.length <= row) this.#grid.push({ text: [], isWrapped });
    const reached = this.#grid[row];
    if (reached !== undefined) reached.isWrapped = isWrapped;
  }
}
