// jarvis.web.fetch: where it may go, and what it brings back. Real servers on loopback.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect } from 'vitest';
import { allowedHosts } from '../../../src/doors/arp/atomic/web/allowed-hosts.ts';
import { assembled } from './assembly.ts';
import { test, type Stack } from './support.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** @returns the port. */
async function serve(stack: Stack, answer: Answer): Promise<number> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

test('nothing may be fetched from that is not listed', async ({ stack }) => {
  const { run } = await assembled(stack);
  const { error } = await run('jarvis.web.fetch', { url: 'https://example.org/' });
  expect(error).toMatchObject({ code: 'host_not_allowed', details: { host: 'example.org', port: 443 } });
});

test('a document, by status, type and text', async ({ stack }) => {
  const port = await serve(stack, (request, response) => {
    response.writeHead(404, { 'content-type': 'text/plain; charset=iso-8859-1' });
    response.end(Buffer.from(`gr\u00fc\u00dfe ${request.headers['accept-encoding']}`, 'latin1'));
  });
  const { run } = await assembled(stack, { allow: [`127.0.0.1:${port}`] });
  expect(await run('jarvis.web.fetch', { url: `http://127.0.0.1:${port}/a?b` })).toMatchObject({
    state: 'succeeded',
    outputs: {
      status: 404,
      url: `http://127.0.0.1:${port}/a?b`,
      content_type: 'text/plain; charset=iso-8859-1',
      body: 'grüße identity',
      truncated: false,
    },
  });
});

test('a name that leads to this machine is refused, unless that address is listed', async ({ stack }) => {
  const port = await serve(stack, (_request, response) => response.end('here'));
  const url = `http://localhost:${port}/`;
  const named = await assembled(stack, { allow: [`localhost:${port}`] });
  expect((await named.run('jarvis.web.fetch', { url })).error).toMatchObject({ code: 'address_not_allowed' });
  const listed = await assembled(stack, { allow: [`localhost:${port}`, '127.0.0.0/8', '::1'] });
  expect((await listed.run('jarvis.web.fetch', { url })).outputs).toMatchObject({ body: 'here' });
});

test('every redirect is checked like the first URL', async ({ stack }) => {
  const inner = await serve(stack, (_request, response) => response.end('secret'));
  const port = await serve(stack, ({ url = '' }, response) => {
    const to = url === '/out' ? `http://127.0.0.1:${inner}/` : url === '/loop' ? '/loop' : '/end';
    if (url === '/end') response.end('the end');
    else response.writeHead(302, { location: to }).end();
  });
  const { run } = await assembled(stack, { allow: [`127.0.0.1:${port}`] });
  const at = (path: string): Promise<Awaited<ReturnType<typeof run>>> =>
    run('jarvis.web.fetch', { url: `http://127.0.0.1:${port}${path}` });
  expect((await at('/go')).outputs).toMatchObject({ body: 'the end', url: `http://127.0.0.1:${port}/end` });
  expect((await at('/out')).error).toMatchObject({ code: 'host_not_allowed', details: { port: inner } });
  expect((await at('/loop')).error).toMatchObject({ code: 'too_many_redirects' });
});

test('a body is cut at the limit, in no character', async ({ stack }) => {
  const port = await serve(stack, (_request, response) => response.end('ü'.repeat(100_000)));
  const config = { web_fetch: { allow: [`127.0.0.1:${port}`], max_bytes: 1001 } };
  const { run } = await assembled(stack, { config });
  const url = `http://127.0.0.1:${port}/`;
  expect((await run('jarvis.web.fetch', { url, max_bytes: 5 })).outputs).toMatchObject({
    body: 'üü',
    truncated: true,
  });
  expect((await run('jarvis.web.fetch', { url })).outputs).toMatchObject({
    body: 'ü'.repeat(500),
    truncated: true,
  });
});

test('G41 a server that does not answer, or does not end, is a timeout', async ({ stack }) => {
  const port = await serve(stack, ({ url }, response) => {
    if (url === '/begin') response.write('x');
  });
  const config = { web_fetch: { allow: [`127.0.0.1:${port}`], timeout_ms: 50 } };
  const { run } = await assembled(stack, { config });
  for (const path of ['/', '/begin'])
    expect((await run('jarvis.web.fetch', { url: `http://127.0.0.1:${port}${path}` })).error).toMatchObject({
      code: 'fetch_timeout',
      retryable: true,
    });
});

test.for(['file:///etc/passwd', 'no url', 'http://user:pw@example.org/', 'gopher://x'])(
  '%s is no URL to fetch',
  async (url, { stack }) => {
    const { run } = await assembled(stack, { allow: ['*'] });
    expect((await run('jarvis.web.fetch', { url })).error).toMatchObject({
      code: 'invalid_url',
      retryable: false,
    });
  },
);

describe('which hosts an entry means', () => {
  test.for([
    [
      'example.org',
      [
        ['example.org', 443, true],
        ['example.org', 80, true],
        ['example.org', 8080, false],
        ['a.example.org', 443, false],
        ['notexample.org', 443, false],
      ],
    ],
    [
      '*.Example.org',
      [
        ['a.b.example.org', 443, true],
        ['example.org', 443, false],
        ['evilexample.org', 443, false],
      ],
    ],
    [
      'example.org:8443',
      [
        ['example.org', 8443, true],
        ['example.org', 443, false],
      ],
    ],
    [
      '*',
      [
        ['anything.at.all', 443, true],
        ['x', 22, false],
      ],
    ],
    [
      '10.0.0.0/8',
      [
        ['10.9.9.9', 80, true],
        ['11.0.0.1', 80, false],
        ['10.9.9.9', 22, false],
      ],
    ],
    [
      '[::1]:8080',
      [
        ['::1', 8080, true],
        ['::1', 80, false],
      ],
    ],
  ] as const)('%s', ([entry, cases]) => {
    const hosts = allowedHosts([entry]);
    for (const [host, port, allowed] of cases)
      expect([host, port, hosts.allowsHost(host, port)]).toEqual([host, port, allowed]);
  });

  test.for(['', 'http://a.b', 'a b', 'a/b', 'a*.b', '10.0.0.0/33', 'a@b', 'a.b:99999', '[x]'])(
    '%j is none',
    (entry) => {
      expect(() => allowedHosts([entry])).toThrow(TypeError);
    },
  );

  test('only public addresses, in whatever dress', () => {
    const { allowsAddress } = allowedHosts(['*']);
    const open = ['8.8.8.8', '93.184.216.34', '2606:2800:220:1::1', '::ffff:8.8.8.8'];
    const shut = [
      '127.0.0.1',
      '0.0.0.0',
      '10.1.2.3',
      '100.64.0.1',
      '169.254.169.254',
      '172.31.0.1',
      '192.168.0.1',
      '224.0.0.1',
      '255.255.255.255',
    ];
    const shut6 = [
      '::',
      '::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      'fe80::1%eth0',
      'fc00::1',
      'ff02::1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
      '2001:db8::1',
      '2001::1',
    ];
    expect(open.filter((address) => !allowsAddress(address))).toEqual([]);
    expect([...shut, ...shut6].filter((address) => allowsAddress(address))).toEqual([]);
    const listed = allowedHosts(['169.254.169.254', 'fc00::/7']);
    expect(['169.254.169.254', '::ffff:169.254.169.254', 'fc00::1'].every(listed.allowsAddress)).toBe(true);
  });
});
