/**
 * The first words of a database: enough to know that one is there and takes connections, before any password is asked for.
 */
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import { readUntil } from './net.mjs';

const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex');
const GOODBYE = Buffer.from('5800000004', 'hex');
const PROTOCOL_3 = 196_608;
/** Of PostgreSQL: there, but not for new connections. */
const POSTGRES_BUSY = { '57P03': 'starting up, shutting down or recovering', 53300: 'out of connections' };

/** Protocols by the port that a service of theirs usually has. */
export const USUAL_PORTS = new Map([
  [5432, 'postgresql'],
  [6432, 'postgresql'],
  [3306, 'mysql'],
  [6379, 'redis'],
]);

/**
 * @typedef {{state: 'ready' | 'busy' | 'foreign' | 'silent', message: string, tls?: boolean}} Greeting
 * `busy`: the right service, which takes no connections now. `foreign`: something else answers. `silent`: nothing does.
 */

/** @type {Record<string, (socket: import('node:net').Socket, timeoutMs: number, user: string) => Promise<Greeting>>} */
export const GREET = { postgresql: greetPostgres, mysql: greetMysql, redis: greetRedis };

/** Asks for TLS, then begins to log in, and leaves when asked who it is. */
async function greetPostgres(socket, timeoutMs, user) {
  socket.write(SSL_REQUEST);
  const answer = (await readUntil(socket, (bytes) => bytes.length >= 1, timeoutMs)).toString('latin1', 0, 1);
  if (answer === '') return { state: 'silent', message: 'says nothing to PostgreSQL’s first request' };
  if (answer !== 'S' && answer !== 'N') return foreign('PostgreSQL');
  const tls = answer === 'S';
  let stream = socket;
  if (tls) {
    stream = connectTls({ socket, rejectUnauthorized: false });
    stream.on('error', () => undefined); // seen as the end of the stream
    try {
      await once(stream, 'secureConnect', { signal: AbortSignal.timeout(timeoutMs) });
    } catch {
      return { state: 'foreign', message: 'offers TLS, but the handshake fails', tls };
    }
  }
  stream.write(startup(user));
  const whole = (bytes) => bytes.length >= 5 && bytes.length > bytes.readUInt32BE(1);
  const reply = await readUntil(stream, whole, timeoutMs);
  stream.end(GOODBYE);
  const kind = reply.toString('latin1', 0, 1);
  if (kind === 'R') return { state: 'ready', message: 'PostgreSQL asks who connects', tls };
  if (kind === 'E') return ofPostgresError(reply, tls);
  if (kind === '') return { state: 'silent', message: 'PostgreSQL says nothing to a login', tls };
  return foreign('PostgreSQL');
}

function startup(user) {
  const body = Buffer.from(`user\0${user}\0database\0postgres\0application_name\0db_connectivity_test\0\0`);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8, 0);
  head.writeUInt32BE(PROTOCOL_3, 4);
  return Buffer.concat([head, body]);
}

function ofPostgresError(reply, tls) {
  const code = reply
    .toString('latin1', 5)
    .split('\0')
    .find((field) => field.startsWith('C'))
    ?.slice(1, 6);
  const why = POSTGRES_BUSY[code];
  if (why !== undefined) return { state: 'busy', message: `PostgreSQL is ${why} (${code})`, tls };
  // It turns this user away, or this machine: it is there all the same.
  return {
    state: 'ready',
    message: `PostgreSQL answers, and refuses this login (${code ?? 'no code'})`,
    tls,
  };
}

/** The server speaks first: a packet with protocol 10 and its version, or an error. */
async function greetMysql(socket, timeoutMs) {
  const whole = (bytes) => bytes.length >= 4 && bytes.length >= 4 + bytes.readUIntLE(0, 3);
  const packet = await readUntil(socket, whole, timeoutMs);
  socket.end();
  if (packet.length === 0) return { state: 'silent', message: 'says nothing, where MySQL would greet' };
  if (packet.length < 6 || packet[3] !== 0) return foreign('MySQL');
  if (packet[4] === 0xff) {
    return { state: 'busy', message: `MySQL turns connections away (error ${packet.readUInt16LE(5)})` };
  }
  const end = packet.indexOf(0, 5);
  if (packet[4] !== 10 || end === -1) return foreign('MySQL');
  const version = packet.toString('latin1', 5, end).replaceAll(/[^\w.+~-]/g, '?');
  return { state: 'ready', message: `MySQL greets, version ${version.slice(0, 60)}` };
}

async function greetRedis(socket, timeoutMs) {
  socket.write('PING\r\n');
  const line = await readUntil(socket, (bytes) => bytes.includes(10), timeoutMs);
  socket.end();
  const text = line.toString('latin1').split('\r\n')[0] ?? '';
  if (text === '') return { state: 'silent', message: 'says nothing to Redis’s PING' };
  if (text === '+PONG' || text.startsWith('-NOAUTH')) return { state: 'ready', message: 'Redis answers' };
  if (/^-(?:LOADING|MASTERDOWN|ERR max number of clients)/.test(text)) {
    return { state: 'busy', message: 'Redis takes no commands now' };
  }
  return foreign('Redis');
}

const foreign = (name) => ({ state: 'foreign', message: `something answers that is not ${name}` });
