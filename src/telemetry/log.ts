/** Logs as JSON lines: when, how grave, what. Whoever writes one passes no header, query or body (I9). */
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];

export interface Log {
  say(level: Level, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface LogOptions {
  /** What is less grave is left out. */
  readonly level: Level;
  nowMs(): number;
  /** Applied to every text. */
  redact(text: string): string;
  write(line: string): void;
}

export function jsonLog({ level: least, nowMs, redact, write }: LogOptions): Log {
  const from = LEVELS.indexOf(least);
  const clean = (_key: string, value: unknown): unknown =>
    typeof value === 'string' ? redact(value) : value;
  return {
    say(level, message, fields = {}) {
      if (LEVELS.indexOf(level) < from) return;
      const line = { at: new Date(nowMs()).toISOString(), level, message, ...fields };
      write(`${JSON.stringify(line, clean)}\n`);
    },
  };
}

/** As `LOG_LEVEL` says it, in any case; also `warning` and `critical`. Undefined: it says something else. */
export function levelOf(text: string): Level | undefined {
  const word = text.trim().toLowerCase();
  if (word === 'warning') return 'warn';
  if (word === 'critical') return 'error';
  return LEVELS.find((level) => level === word);
}
