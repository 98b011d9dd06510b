/** Opaque places in lists and streams: padded, URL-safe base64 of a number in decimal; `MQ==` is 1 (contract arp §2). */
import { validationFailed } from './errors.ts';

export function cursorText(place: number): string {
  return Buffer.from(String(place)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
}

/** @param parameter whose value it is.  @throws ArpError 422 */
export function cursorPlace(text: string, parameter: string): number {
  const digits = Buffer.from(text, 'base64url').toString('latin1');
  const place = /^(0|[1-9]\d{0,15})$/.test(digits) ? Number(digits) : Number.NaN;
  // Node reads base64 with anything between it: only what we would write ourselves, padded or not, is a cursor.
  if (Number.isSafeInteger(place) && cursorText(place).replace(/=+$/, '') === text.replace(/={0,2}$/, ''))
    return place;
  throw validationFailed([{ type: 'cursor', loc: ['query', parameter], msg: 'was not given out here' }], 422);
}
