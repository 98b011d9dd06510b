/** `host:port` as `serve` takes it. */
import { ReeveError } from '../model/errors.ts';

export interface ListenAddress {
  /** Empty: every interface. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function parseListen(text: string): ListenAddress {
  const [, bracketed, plain = '', digits = ''] = /^(?:\[([^\]]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === '' || port > 65_535) {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `${JSON.stringify(text)} is no address to listen on; it looks like 127.0.0.1:9488 or [::1]:9488`,
      { flag: '--listen', value: text.slice(0, 300) },
    );
  }
  return { host: bracketed ?? plain, port };
}

export function addressText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
