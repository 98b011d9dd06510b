// Certificates of a TLS server. A valid date helps nobody when the name or the chain is wrong.

import { isNameTrouble, parseEndpoint, showEndpoint, whyNoConnection } from '#lib/net.mjs';
import { inspect } from '#lib/tls.mjs';
import { CannotCheck, skill } from '#skill';

const DAY_MS = 86_400_000;
/** What the dates say already, certificate by certificate. */
const ABOUT_DATES = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

async function look(ctx, endpoint, where, serverName) {
  const { ca: caFile, timeout } = ctx.args;
  const ca = caFile === undefined ? undefined : await ctx.read(caFile);
  if (caFile !== undefined && ca === undefined) throw new CannotCheck(caFile, 'is not there');
  try {
    return await inspect(endpoint, { serverName, ca, timeoutMs: timeout * 1000 });
  } catch (error) {
    const why = whyNoConnection(error);
    // A handshake that fails has no certificate to speak of: nothing was checked.
    throw new CannotCheck(where, isNameTrouble(error) ? why : `no certificate seen: ${why}`);
  }
}

function judgeDates(ctx, where, certificate, index, days) {
  const left = daysLeft(certificate);
  const which = index === 0 ? 'the certificate' : `certificate ${index + 1} of the chain`;
  const until = new Date(certificate.validTo).toISOString().slice(0, 10);
  if (Date.parse(certificate.validFrom) > Date.now()) {
    ctx.fail('not_yet_valid', { where, message: `${which} is not valid yet` });
  } else if (left < 0) {
    ctx.fail('expired', { where, message: `${which} expired on ${until}`, severity: 'critical' });
  } else if (left < days) {
    ctx.fail('expires_soon', {
      where,
      message: `${which} has ${Math.floor(left)} days left, until ${until}`,
    });
  } else ctx.ok(where, `${which} has ${Math.floor(left)} days left, until ${until}`);
}

const daysLeft = (certificate) =>
  Math.floor(((Date.parse(certificate.validTo) - Date.now()) / DAY_MS) * 100) / 100;

await skill({
  url: import.meta.url,
  positionals: ['endpoint', 'days'],
  help: {
    endpoint: 'host:port, or host alone for 443; an IPv6 address with a port in brackets',
    days: 'every certificate of the chain must be valid for at least this long',
    'server-name': 'the name to ask for and to look for in the certificate; otherwise that of the endpoint',
    ca: 'file of roots to trust (PEM), instead of those of Node and of the system',
    'any-chain': 'do not look at who signed the certificate',
    'any-name': 'do not look at the name in the certificate',
    timeout: 'seconds for the whole handshake',
    'only-if': 'skip unless this file is there, for one rollout to many kinds of hosts',
  },
  async check(ctx) {
    const { days, 'only-if': onlyIf } = ctx.args;
    if (onlyIf !== undefined && (await ctx.stat(onlyIf)) === undefined) ctx.skip(`there is no ${onlyIf}`);
    const endpoint = parseEndpoint(ctx.args.endpoint, 443);
    if (endpoint === undefined) {
      throw new CannotCheck('endpoint', `${JSON.stringify(ctx.args.endpoint)} is not of the form host:port`);
    }
    const where = showEndpoint(endpoint);
    const serverName = ctx.args['server-name'] ?? endpoint.host;
    const { chain, chainError, nameError, protocol } = await look(ctx, endpoint, where, serverName);

    for (const [index, certificate] of chain.entries()) judgeDates(ctx, where, certificate, index, days);
    if (!ctx.args['any-chain'] && chainError !== undefined && !ABOUT_DATES.has(chainError)) {
      ctx.fail('untrusted_chain', {
        where,
        message: `the chain does not lead to a trusted root: ${chainError}`,
      });
    }
    if (!ctx.args['any-name'] && nameError !== undefined) {
      ctx.fail('wrong_name', { where, message: `the certificate is not for ${serverName}` });
    }
    ctx.metric('days_left', Math.min(...chain.map(daysLeft)));
    ctx.metric('certificates', chain.length);
    ctx.metric('protocol', protocol);
  },
});
