// REEVE_ARP_TOKEN_FILE: the token with which services ask each other. test/deploy shows that it opens them.
import { expect } from 'vitest';
import { test } from './rig.ts';

const PDP = ['serve', 'pdp', '--port', '0'];
const REGISTRY = { JARVIS_NODE_REGISTRY_URL: 'http://127.0.0.1:9' };

test.concurrent('a file that is not there, or holds no token, stops the start', async ({ home }) => {
  await home.write('blank', '\n');
  await home.write('two', 'one two\n');
  const cases = [
    ['nowhere', /cannot be read \(ENOENT\)/],
    ['blank', /^REEVE_ARP_TOKEN_FILE: a token is 1 to 4096 visible ASCII characters/],
    ['two', /visible ASCII/],
  ] as const;
  for (const [file, message] of cases) {
    const env = { ...REGISTRY, REEVE_ARP_TOKEN_FILE: file };
    const error = await home.fails(PDP, { program: 'reeve', env });
    expect(error).toMatchObject({ code: 'E_INVALID_INPUT_SCHEMA', exit_code: 6 });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('one two');
  }
});

test.concurrent('it and an issuer exclude each other', async ({ home }) => {
  await home.write('token', 'shared\n');
  const env = {
    ...REGISTRY,
    REEVE_ARP_TOKEN_FILE: 'token',
    ARP_AUTH_ISSUER: 'https://id.example.org/realms/agents',
    ARP_AUTH_AUDIENCE: 'arp-pdp',
    ARP_AUTH_CLIENT_ID: 'pdp',
    ARP_AUTH_CLIENT_SECRET: 'x',
  };
  const error = await home.fails(PDP, { program: 'reeve', env });
  expect(error.code).toBe('E_INVALID_INPUT_SCHEMA');
  expect(error.message).toContain('REEVE_ARP_TOKEN_FILE');
});
