/**
 * Where a fetch may go. Nothing is allowed that is not listed; and a name that leads to an address which is not public (this
 * machine, its network, a cloud's metadata) is refused unless that address is listed too.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';

export interface AllowedHosts {
  /** @param port default ports are allowed with the host. */
  allowsHost(host: string, port: number): boolean;
  /** Of what a listed host was resolved to. */
  allowsAddress(address: string): boolean;
}

interface HostRule {
  readonly host: string;
  /** Only names below it. */
  readonly below: boolean;
  readonly port: number | undefined;
}

const DEFAULT_PORTS = new Set([80, 443]);

/** https://www.iana.org/assignments/iana-ipv4-special-registry: what is not one place on the internet. */
const PRIVATE_IPV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
];
/** Of IPv6 only 2000::/3 is given out, and of that not the ways back to IPv4 and the examples. */
const PUBLIC_IPV6 = ['2000::/3'];
const PRIVATE_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

const privateIpv4 = blockList(PRIVATE_IPV4, 'ipv4');
const publicIpv6 = blockList(PUBLIC_IPV6, 'ipv6');
const privateIpv6 = blockList(PRIVATE_IPV6, 'ipv6');

/**
 * @param entries `example.org`, `*.example.org` (what is below it), `example.org:8443`, `*` (any), addresses and networks
 * (`10.1.2.3`, `[::1]:8080`, `10.0.0.0/8`); the latter are also what listed names may lead to.
 * @throws TypeError naming the entry
 */
export function allowedHosts(entries: readonly string[]): AllowedHosts {
  const hosts: HostRule[] = [];
  /** Their addresses may be in a URL. */
  const networks = new BlockList();
  /** Names may lead there. */
  const reachable = new BlockList();
  for (const entry of entries) {
    const text = entry.trim().toLowerCase();
    if (addNetwork(networks, text) && addNetwork(reachable, text)) continue;
    const rule = hostRule(text);
    if (rule === undefined)
      throw new TypeError(
        `${JSON.stringify(entry)} is neither a host, *.host, host:port, address nor network`,
      );
    hosts.push(rule);
    if (isIP(rule.host) !== 0) reachable.addAddress(rule.host, family(rule.host));
  }
  return {
    allowsHost: (host, port) =>
      hosts.some((rule) => fits(rule, host, port)) ||
      (isIP(host) !== 0 && DEFAULT_PORTS.has(port) && networks.check(host, family(host))),
    allowsAddress(address) {
      const plain = unmapped(address);
      return isPublic(plain) || reachable.check(plain, family(plain));
    },
  };
}

function addNetwork(networks: BlockList, text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  if (bits === undefined || more.length > 0 || isIP(address) === 0 || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (isIPv4(address) ? 32 : 128)) return false;
  networks.addSubnet(address, Number(bits), family(address));
  return true;
}

function hostRule(text: string): HostRule | undefined {
  if (text === '*') return { host: '', below: true, port: undefined };
  if (isIP(text) !== 0) return { host: text, below: false, port: undefined };
  const below = text.startsWith('*.');
  const url = URL.parse(`http://${below ? text.slice(2) : text}`);
  const isPlain = url !== null && url.pathname === '/' && !/[@/?#*\s]/.test(below ? text.slice(2) : text);
  if (!isPlain || url.hostname === '') return undefined;
  const port = /:(\d+)$/.exec(text)?.[1];
  return { host: bare(url.hostname), below, port: port === undefined ? undefined : Number(port) };
}

function fits({ host, below, port }: HostRule, asked: string, askedPort: number): boolean {
  if (port === undefined ? !DEFAULT_PORTS.has(askedPort) : port !== askedPort) return false;
  if (!below) return asked === host;
  return host === '' || asked.endsWith(`.${host}`);
}

/** `[::1]` of a URL as an address; a last dot does not make another host. */
export function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}

function isPublic(address: string): boolean {
  if (isIPv4(address)) return !privateIpv4.check(address, 'ipv4');
  return publicIpv6.check(address, 'ipv6') && !privateIpv6.check(address, 'ipv6');
}

/** An IPv4 address in the clothes of IPv6 is the IPv4 address. */
function unmapped(address: string): string {
  const plain = address.replace(/%.*$/, '');
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1];
  if (dotted !== undefined) return dotted;
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(plain) ?? [];
  if (high === undefined || low === undefined) return plain;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}

function blockList(networks: readonly string[], type: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/');
    list.addSubnet(address, Number(bits), type);
  }
  return list;
}
