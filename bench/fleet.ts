// A fleet of polling agents against a control plane, which is a process of its own: how soon a task is handed out, at rising
// rates, and what an agent costs. `npm run bench:fleet` puts the figures into docs/benchmarks.md.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { digestOfCommand, signAllowList, textOf } from '../src/policy/allow-list/sign.ts';
import { generatePrivateKey, privateKeyFrom } from '../src/policy/keys.ts';
import { FleetClient } from './fleet-client.ts';
import { cpuSeconds, installSize, residentMiB } from './fleet-costs.ts';
import { busyNote, machine, quantile } from './measure.ts';
import { publish } from './page.ts';

const { values: flags } = parseArgs({
  options: {
    agents: { type: 'string', default: '1000' },
    rates: { type: 'string', default: '50,100,200,400,800' },
    seconds: { type: 'string', default: '8' },
    idle: { type: 'string', default: '30' },
    write: { type: 'boolean', default: false },
  },
});
const AGENTS = Number(flags.agents);
const SECONDS = Number(flags.seconds);
const REEVE = fileURLToPath(new URL('../bin/reeve.js', import.meta.url));
const OPERATOR = 'operator-of-the-benchmark';
const ENROL = 'enrolment-of-the-benchmark';
const COMMAND = ['true'];
/** Where asking takes longer than this, or less than nine tenths are done, the fleet is no longer served. */
const P99_MAX_MS = 1000;

const busy = busyNote();
const dir = mkdtempSync(join(tmpdir(), 'reeve-fleet-'));
const children: ChildProcess[] = [];
try {
  await main();
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const key = privateKeyFrom(generatePrivateKey(), 'bench');
  writeFileSync(join(dir, 'key.pem'), key.publicKey.pem);
  const server = start(['serve', 'control-plane', '--port', '0', '--trust-keys', 'key.pem'], {
    JARVAS_OPERATOR_TOKEN: OPERATOR,
    JARVAS_ENROL_TOKEN: ENROL,
  });
  const address = await addressOf(server);
  const pid = server.pid ?? 0;
  const client = new FleetClient(address, OPERATOR, ENROL);
  const entries = [{ kind: 'command' as const, digest: digestOfCommand(COMMAND) }];
  const times = { issued_at: '2026-01-01T00:00:00Z', expires_at: '2099-01-01T00:00:00Z' };
  const list = signAllowList({ version: 1, tenant: 'default', serial: 1, ...times, entries }, [key]);
  await client.send('PUT', '/allowlist', OPERATOR, JSON.parse(textOf(list)));

  const agentMiB = await idleAgent(address);
  const emptyMiB = residentMiB(pid);
  await client.enrol(AGENTS);
  await delay(1000);
  const rows: string[] = [];
  for (const rate of flags.rates.split(',').map(Number)) {
    const cpuFrom = cpuSeconds(pid);
    const from = performance.now();
    const { asked, accepted, done } = await client.load(rate, SECONDS, { action: 'bench', command: COMMAND });
    const took = (performance.now() - from) / 1000;
    const cpu = ((cpuSeconds(pid) - cpuFrom) / took) * 100;
    const reached = done / SECONDS;
    rows.push(
      `| ${rate} | ${show(reached)} | ${quantiles(accepted)} | ${quantiles(asked)} | ${show(cpu)} % | ${show(residentMiB(pid))} MiB |`,
    );
    if (reached < rate * 0.9 || quantile(asked, 0.99) > P99_MAX_MS) break;
  }
  client.close();
  const { packed, dependencies } = installSize();
  publish(
    'fleet',
    [
      `${machine()}. ${AGENTS} agents that poll, ${SECONDS} s for each rate; they and who creates the tasks are one process, the control plane is another.`,
      '',
      `${busy}| tasks asked /s | done, by the second of asking | accepted → handed out, p50 / p99 ms | asked → handed out, p50 / p99 ms | CPU of the control plane (100 %: a core) | its memory |`,
      '| --- | --- | --- | --- | --- | --- |',
      ...rows,
      '',
      `The control plane without agents: ${show(emptyMiB)} MiB. An agent that has waited for ${flags.idle} s: ${show(agentMiB)} MiB. What is installed: ${show(packed)} MiB of Reeve, ${show(dependencies)} MiB of packages that it needs.`,
      '',
    ].join('\n'),
    flags.write,
  );
}

function start(argv: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, [REEVE, ...argv], {
    cwd: dir,
    env: { PATH, HOME: dir, NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

function addressOf(server: ChildProcess): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    server.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const [, address] = /listening on (\S+)\n/.exec(said) ?? [];
      if (address !== undefined) resolve(address);
    });
    server.on('exit', () => reject(new Error(`the control plane ended: ${said}`)));
  });
}

/** Its memory, MiB. */
async function idleAgent(address: string): Promise<number> {
  mkdirSync(join(dir, 'agent'));
  const agent = start(['agent', '--runs-dir', 'agent/runs'], {
    CONTROL_URL: `http://${address}`,
    JARVAS_ENROL_TOKEN: ENROL,
    JARVAS_AGENT_ID: 'idle',
    JARVAS_TRUST_KEYS: 'key.pem',
    JARVAS_ALLOW_ROOT: '1',
    DATA_DIR: 'agent/data',
  });
  agent.stdout?.resume();
  await delay(Number(flags.idle) * 1000);
  const mib = residentMiB(agent.pid ?? 0);
  agent.kill('SIGTERM');
  return mib;
}

function quantiles(sorted: readonly number[]): string {
  return `${show(quantile(sorted, 0.5), 1)} / ${show(quantile(sorted, 0.99), 1)}`;
}

function show(value: number, digits = 0): string {
  return value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
}
