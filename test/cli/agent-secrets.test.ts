// Secrets of tasks: from the environment, a file and Vault, and nowhere to be seen (contract agents §8; J30, I9).
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { commandEntry } from '../doors/agents/agent/fleet-rig.ts';
import { ENROL, test } from './agent-rig.ts';
import { until, type Any } from './rig.ts';

const BY_ENV = 'value-from-the-environment';
const BY_FILE = 'value-from-a-file';
const BY_VAULT = 'value-from-the-vault';
const VAULT_TOKEN = 'token-for-the-vault';

test('J30 secrets reach the command, and no process list, wire, spool, artifact or note', async ({
  fleet,
}) => {
  const vault = await openVault();
  try {
    await fleet.serve();
    const proxy = await fleet.proxy();
    const { home } = fleet;
    await home.write('secret', `${BY_FILE}\n`);
    await home.write('vault-token', `${VAULT_TOKEN}\n`);
    const go = fleet.path('go');
    const script =
      `printf '%s|%s|%s' "$BY_ENV" "$BY_FILE" "$BY_VAULT" | wc -c; echo $BY_ENV $BY_FILE $BY_VAULT; ` +
      `echo "$BY_VAULT" > $JARVAS_ARTIFACTS_DIR/note.txt; env | grep -c TOKEN; touch ${go}.on; while ! test -e ${go}; do sleep 0.05; done`;
    const command = ['sh', '-c', script];
    const names = ['BY_ENV', 'BY_FILE', 'BY_VAULT'];
    await fleet.publish({ ...commandEntry(command), env_refs: names });
    const agent = await fleet.agent('a', {
      url: proxy.url,
      env: {
        BY_ENV,
        BY_FILE_FILE: fleet.path('secret'),
        VAULT_ADDR: vault.url,
        VAULT_TOKEN_FILE: fleet.path('vault-token'),
      },
      config: { secrets: { BY_VAULT: 'vault:secret/team/db#password' } },
    });
    const id = await fleet.task({ command, env_refs: names });
    await until(() => readdirSync(home.cwd).includes('go.on'), 'the command');
    // From one look at all of them: the command starts a process every 50 ms, which may be gone at the next one.
    const lines = home
      .processes()
      .map(({ command: line }) => line)
      .join('\n');
    expect(lines).toContain('agent');
    proxy.cut();
    await writeFile(go, '');
    await agent.until('it is spooled', () => agent.stdout.includes('has succeeded'));
    const kept = textsIn(fleet.path('a'));
    expect(kept).toContain('"outcome":"succeeded"'); // the spool
    proxy.mend();
    const task: Any = await fleet.has(id, 'succeeded');
    const length = [BY_ENV, BY_FILE, BY_VAULT].join('|').length;
    expect(await fleet.file(task, 'artifacts/output.raw')).toBe(
      `${length}\n[REDACTED:ENV_SECRET] [REDACTED:ENV_SECRET] [REDACTED:ENV_SECRET]\n0\n`,
    );
    const places = {
      lines,
      kept,
      wire: proxy.heard,
      notes: agent.stdout + agent.stderr,
      task: JSON.stringify(task),
    };
    for (const [place, said] of Object.entries(places))
      for (const value of [BY_ENV, BY_FILE, BY_VAULT, VAULT_TOKEN])
        expect(said.includes(value), `${value} in ${place}`).toBe(false);
    for (const said of [lines, kept, places.notes, places.task]) expect(said).not.toContain(ENROL);
    expect(vault.asked).toEqual([`/v1/secret/data/team/db ${VAULT_TOKEN}`]);
  } finally {
    await vault.close();
  }
});

test('J16 a secret that is not on the list stays with the agent, whatever the task asks for', async ({
  fleet,
}) => {
  await fleet.serve();
  const command = ['sh', '-c', 'env > env'];
  await fleet.publish(commandEntry(command));
  await fleet.agent('a', { env: { PRIVATE_ONE: 'mine-alone' } });
  const { status, json } = await fleet.send('POST', '/tasks', {
    action: 'check',
    command,
    env_refs: ['PRIVATE_ONE'],
  });
  // The control plane has the list, too. Where it does not look, the agent does.
  if (status !== 201) expect(json.error.code).toMatch(/unverified_command|invalid_field/);
  else expect((await fleet.has(json.task_id, 'refused')).result.reason).toBe('args_invalid');
});

async function openVault(): Promise<{ url: string; asked: string[]; close(): Promise<void> }> {
  const asked: string[] = [];
  const server = createServer(({ url = '', headers }, response) => {
    asked.push(`${url} ${String(headers['x-vault-token'])}`);
    response.end(JSON.stringify({ data: { data: { password: BY_VAULT }, metadata: { version: 3 } } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Everything that an agent has written. */
function textsIn(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n');
}
