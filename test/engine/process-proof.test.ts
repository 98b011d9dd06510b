/** What proves that the process of a lease is gone, with real processes; and what does not. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { leaseIdOf, newLeaseId, readMark, systemDeaths } from '../../src/engine/process-proof.ts';

const { isDead } = systemDeaths;
const PROOF = fileURLToPath(new URL('../../src/engine/process-proof.ts', import.meta.url));
const TAKE = `import { newLeaseId } from ${JSON.stringify(PROOF)}; console.log(newLeaseId()); setInterval(() => {}, 1e6);`;
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
  }
});

/** A process that takes a lease and lives on. */
async function holder(...under: readonly string[]): Promise<{ child: ChildProcess; leaseId: string }> {
  const [file, ...args] = [...under, process.execPath, '--input-type=module', '-e', TAKE];
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  started.push(child);
  const [text] = (await once(child.stdout?.setEncoding('utf8') ?? child, 'data')) as [string];
  return { child, leaseId: text.trim() };
}

function stateOf(pid: number | undefined): string {
  return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] ?? '';
}

async function turnsTo(state: string, pid: number | undefined): Promise<void> {
  while (stateOf(pid) !== state) await new Promise(setImmediate);
}

const mayUnshare = spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0;

describe.skipIf(process.platform !== 'linux')('on Linux', () => {
  test('a lease has the form of the contract, and no two are equal', () => {
    const leases = Array.from({ length: 100 }, () => newLeaseId());
    for (const lease of leases) expect(lease).toMatch(new RegExp(`^lease-${process.pid}-\\d{25,}$`));
    expect(new Set(leases).size).toBe(100);
    expect(leases.some(isDead)).toBe(false);
  });

  test('kill -9 proves it; SIGSTOP does not, however long', async () => {
    const { child, leaseId } = await holder();
    expect(isDead(leaseId)).toBe(false);
    child.kill('SIGSTOP');
    await turnsTo('T', child.pid);
    expect(isDead(leaseId)).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isDead(leaseId)).toBe(true);
  });

  test('a process that was killed and that nobody has collected is gone', async () => {
    // Its parent becomes `sleep`, which collects nobody.
    const script = `${process.execPath} --input-type=module -e '${TAKE}' & echo $!; exec sleep 1000`;
    const shell = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    started.push(shell);
    let text = '';
    for await (const piece of shell.stdout.setEncoding('utf8')) {
      text += piece as string;
      if (text.trim().split('\n').length === 2) break;
    }
    const [pid = '', leaseId = ''] = text
      .trim()
      .split('\n')
      .toSorted((a, b) => a.length - b.length);
    expect(leaseId).toMatch(/^lease-/);
    expect(isDead(leaseId)).toBe(false);
    process.kill(Number(pid), 'SIGKILL');
    await turnsTo('Z', Number(pid));
    while (!isDead(leaseId)) await new Promise(setImmediate); // its threads end one after the other
    expect(stateOf(Number(pid))).toBe('Z');
  });

  test('an id that is used again proves nothing, nor does one from elsewhere or from another boot', async () => {
    const mark = readMark();
    if (mark === undefined) throw new Error('this process cannot say who it is');
    const { child } = await holder();
    const pid = child.pid ?? 0;
    const earlier = { ...mark, start: '00000000001' };
    expect(isDead(leaseIdOf(pid, earlier, 1)), 'another process has the id now').toBe(false);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isDead(leaseIdOf(pid, earlier, 1))).toBe(true);
    const elsewhere = { ...mark, system: mark.system.replaceAll(/\d/g, (n) => String(9 - Number(n))) };
    expect(isDead(leaseIdOf(pid, elsewhere, 1)), 'the same id on another system').toBe(false);
  });

  test('what cannot be read proves nothing', async () => {
    const { child, leaseId } = await holder();
    child.kill('SIGKILL');
    await once(child, 'exit');
    const pid = String(child.pid);
    const others = ['', 'lease-', `lease-${pid}-123456789`, leaseId.slice(0, -3).slice(0, 30), `x${leaseId}`];
    for (const lease of [
      ...others,
      leaseId.replace(pid, '0'),
      leaseId.replace(pid, '9999999999'),
      `lease-${'a'.repeat(32)}`,
    ])
      expect(isDead(lease), lease).toBe(false);
  });

  test.skipIf(!mayUnshare)('a process of another pid namespace is never dead from here', async () => {
    const { child, leaseId } = await holder('unshare', '--pid', '--fork', '--mount-proc', '--kill-child');
    expect(leaseId).toMatch(/^lease-1-\d{25,}$/);
    expect(isDead(leaseId)).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isDead(leaseId)).toBe(false);
  });

  test.skipIf(!mayUnshare)(
    'where /proc shows another namespace a process takes leases that prove nothing',
    async () => {
      const { child, leaseId } = await holder('unshare', '--pid', '--fork', '--kill-child');
      expect(leaseId).toMatch(/^lease-1-\d{1,24}$/);
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(isDead(leaseId)).toBe(false);
    },
  );
});
