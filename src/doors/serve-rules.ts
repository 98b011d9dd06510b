/** What a server that others can reach must be given before it may start (contract wrkr §i). Pure. */
export interface ServeRules {
  /** `host:port`; undefined: no server is planned. */
  readonly listen?: string;
  readonly allowNonLoopback?: boolean;
  readonly authToken?: string;
  /** How the server is given it. Default `--auth-token`. */
  readonly tokenFlag?: string;
  /** Every request must carry a token of an issuer. */
  readonly requiresJwt?: boolean;
  readonly maxBodyBytes?: number;
}

/** Every rule that is not met, in words. */
export function serveProblems({
  listen,
  allowNonLoopback,
  authToken,
  tokenFlag = '--auth-token',
  requiresJwt,
  maxBodyBytes,
}: ServeRules): readonly string[] {
  if (listen === undefined || listen === '') return [];
  if (isLoopback(listen)) return [];
  return [
    ...(allowNonLoopback === true
      ? []
      : [`${listen} can be reached from other machines: --allow-non-loopback is missing`]),
    ...((authToken ?? '').trim() === '' && requiresJwt !== true
      ? [`${listen} can be reached from other machines: ${tokenFlag} is missing`]
      : []),
    ...(maxBodyBytes === undefined || maxBodyBytes <= 0
      ? [`${listen} can be reached from other machines: --max-body-bytes is missing`]
      : []),
  ];
}

/** `localhost` or a loopback address with a port; an empty host means every interface. */
export function isLoopback(listen: string): boolean {
  const host = listen.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
