// A name server on loopback, over UDP and TCP: server.mjs '{"a": {"host.example A": ["192.0.2.1"]}, …}' starts one for each
// name, whose port is the placeholder of that name. Instead of records: an error (`SERVFAIL` …), or `silence`; with
// "truncate": true UDP says only that TCP knows more. What is not in the zone does not exist.

import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { once } from 'node:events';

const TYPES = { A: 1, NS: 2, CNAME: 5, MX: 15, TXT: 16, AAAA: 28 };
const ERRORS = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };
const TRUNCATED = 0x0200;

const nameBytes = (name) =>
  Buffer.concat([...name.split('.').map((label) => counted(Buffer.from(label))), Buffer.alloc(1)]);
const counted = (bytes) => Buffer.concat([Buffer.from([bytes.length]), bytes]);
const number16 = (value) => Buffer.from([value >> 8, value & 255]);

function recordBytes(type, text) {
  if (type === 'A') return Buffer.from(text.split('.').map(Number));
  if (type === 'AAAA') return Buffer.from(text.replaceAll(':', ''), 'hex'); // in its long form
  if (type === 'TXT') return counted(Buffer.from(text));
  const [preference, exchange] = text.split(' ');
  return type === 'MX' ? Buffer.concat([number16(Number(preference)), nameBytes(exchange)]) : nameBytes(text);
}

/** @returns what is answered; undefined for nothing at all */
function answer(zone, query, isTcp) {
  const labels = [];
  let at = 12;
  for (; query[at] !== 0; at += query[at] + 1)
    labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
  const question = query.subarray(12, at + 5);
  const type = Object.keys(TYPES).find((name) => TYPES[name] === query.readUInt16BE(at + 1));
  const found = zone[`${labels.join('.').toLowerCase()} ${type}`] ?? 'NXDOMAIN';
  if (found === 'silence') return undefined;
  const cut = zone.truncate === true && !isTcp;
  const records = cut || typeof found === 'string' ? [] : found;
  const flags = 0x8180 | (cut ? TRUNCATED : 0) | (typeof found === 'string' && !cut ? ERRORS[found] : 0);
  const head = [query.subarray(0, 2), ...[flags, 1, records.length, 0, 0].map(number16), question];
  const tail = records.map((text) => {
    const data = recordBytes(type, text);
    return Buffer.concat([...[0xc00c, TYPES[type], 1, 0, 60, data.length].map(number16), data]);
  });
  return Buffer.concat([...head, ...tail]);
}

async function start(zone) {
  const udp = createSocket('udp4', (query, peer) => {
    const bytes = answer(zone, query, false);
    if (bytes !== undefined) udp.send(bytes, peer.port, peer.address);
  });
  udp.bind(0, '127.0.0.1');
  await once(udp, 'listening');
  const { port } = udp.address();
  const tcp = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (bytes) => {
      const reply = answer(zone, bytes.subarray(2), true);
      if (reply !== undefined) socket.end(Buffer.concat([number16(reply.length), reply]));
    });
  });
  tcp.listen(port, '127.0.0.1');
  try {
    await once(tcp, 'listening');
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw error;
    udp.close(); // free for datagrams, and not for connections: another one
    return start(zone);
  }
  return port;
}

const ports = {};
for (const [name, zone] of Object.entries(JSON.parse(process.argv[2] ?? '{}')))
  ports[name] = await start(zone);
process.stdout.write(`${JSON.stringify(ports)}\n`);
process.stdin.resume().on('end', () => process.exit(0));
