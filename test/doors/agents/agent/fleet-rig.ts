// Agents against a control plane with all its parts, over real sockets; commands are real processes.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, vi } from 'vitest';
import { Agent } from '../../../../src/doors/agents/agent/agent.ts';
import type { AgentSettings } from '../../../../src/doors/agents/agent/settings.ts';
import { runFilesPart } from '../../../../src/doors/agents/control/files/part.ts';
import { packagesPart } from '../../../../src/doors/agents/control/packages/part.ts';
import { rolloutsPart } from '../../../../src/doors/agents/control/rollouts/part.ts';
import type { AllowListEntry } from '../../../../src/policy/allow-list/schema.ts';
import {
  digestOfBytes,
  digestOfCommand,
  signAllowList,
  textOf,
} from '../../../../src/policy/allow-list/sign.ts';
import type { SigningKey } from '../../../../src/policy/keys.ts';
import { DirectoryBlobStreams } from '../../../../src/store/blobs/directory-blob-streams.ts';
import { KEY, Plane, test as base, type Any } from '../control-rig.ts';
import { tarOf } from '../tar.ts';

export interface RunningAgent {
  readonly id: string;
  readonly notes: string[];
  readonly dataDir: string;
  readonly runsDir: string;
  /** Lets it drain, and resolves when it has. */
  stop(): Promise<void>;
}

export interface Fleet {
  readonly dir: string;
  plane(choices?: Plane['choices']): Promise<Plane>;
  /** Ends it and opens it again, as a restart does. */
  reopen(plane: Plane): Promise<void>;
  agent(
    plane: { readonly url: string; tokens(): { readonly enrolment: string } },
    id: string,
    more?: Partial<AgentSettings>,
  ): Promise<RunningAgent>;
}

/** A package with one program for `node`. */
export function packageOf(name: string, program: string, manifest: object = {}): Buffer {
  const skill = {
    name,
    version: '1.0.0',
    pillar: 'sre_observability',
    description: name,
    entry: 'check.mjs',
    interpreter: 'node',
    args: [],
    ...manifest,
  };
  return gzipSync(
    tarOf([
      { name: 'skill.json', content: JSON.stringify(skill) },
      { name: 'check.mjs', content: program, mode: 0o755 },
    ]),
  );
}

export function listOf(
  entries: readonly AllowListEntry[],
  {
    serial = 2,
    keys = [KEY],
    ...more
  }: { serial?: number; keys?: readonly SigningKey[]; expires_at?: string; tenant?: string } = {},
): string {
  const document = {
    version: 1 as const,
    tenant: 'default',
    serial,
    issued_at: '2026-01-01T00:00:00Z',
    expires_at: '2099-01-01T00:00:00Z',
    entries,
    ...more,
  };
  return textOf(signAllowList(document, keys));
}

export function skillEntry(
  name: string,
  bytes: Uint8Array,
  more: Partial<AllowListEntry> = {},
): AllowListEntry {
  return { kind: 'skill', name, version: '1.0.0', digest: digestOfBytes(bytes), ...more };
}

export function commandEntry(command: string | readonly string[]): AllowListEntry {
  return { kind: 'command', digest: digestOfCommand(command) };
}

/** A line for each execution, whatever the control plane believes. */
export async function ledgerOf(dir: string): Promise<{ path: string; lines(): Promise<readonly string[]> }> {
  const path = join(dir, 'ledger');
  await writeFile(path, '');
  return {
    path,
    lines: async () => (await readFile(path, 'utf8')).split('\n').filter((line) => line !== ''),
  };
}

/** A task that has come so far. */
export async function ended(plane: Plane, id: string, status: string): Promise<Any> {
  return vi.waitFor(
    async () => {
      const { json } = await plane.ask('GET', `/tasks/${id}`);
      expect(json.status).toBe(status);
      return json;
    },
    { timeout: 60_000, interval: 50 },
  );
}

export async function publishSkill(plane: Plane, name: string, bytes: Buffer): Promise<void> {
  const answer = await fetch(`${plane.url}/skills/${name}/1.0.0`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${plane.tokens().operator}`,
      'content-type': 'application/octet-stream',
    },
    body: new Uint8Array(bytes),
  });
  expect(answer.status).toBe(200);
}

export const test = base.extend('fleet', async ({ dir }, { onCleanup }): Promise<Fleet> => {
  const ends: (() => Promise<void>)[] = [];
  onCleanup(async () => {
    for (const end of ends.toReversed()) await end();
  });
  await mkdir(join(dir, 'keys'), { recursive: true });
  const trust = join(dir, 'keys', 'ada.pub');
  await writeFile(trust, KEY.publicKey.pem);
  return {
    dir,
    async plane(choices = {}) {
      const note = (text: string): void => void process.stderr.write(`${text}\n`);
      const files = runFilesPart({ blobs: new DirectoryBlobStreams(join(dir, 'files')), note });
      const plane = new Plane(dir, {
        pollS: 1,
        parts: [files, rolloutsPart({ files: files.files, note }), packagesPart],
        ...choices,
      });
      await plane.open();
      ends.push(() => plane.close());
      return plane;
    },
    async reopen(plane) {
      await plane.close();
      await plane.open();
    },
    async agent(plane, id, more = {}) {
      const dataDir = join(dir, 'agents', id, 'data');
      const runsDir = join(dir, 'agents', id, 'runs');
      const notes: string[] = [];
      const stopping = new AbortController();
      const settings: AgentSettings = {
        control: { baseUrl: plane.url },
        agentId: id,
        tenant: 'default',
        labels: {},
        enrolToken: plane.tokens().enrolment,
        pollS: 1,
        maxParallel: 1,
        dataDir,
        runsDir,
        trustPaths: [trust],
        threshold: 1,
        allowRaw: true,
        sandboxRequired: false,
        isStrict: false,
        secrets: {},
        env: { ...process.env, JARVAS_ALLOW_ROOT: '1' },
        keepDays: 7,
        drainS: 0,
        version: '0.0.0',
        ...more,
      };
      const running = Agent.run({ settings, note: (text) => notes.push(text) }, stopping.signal);
      const failed = running.catch((error: unknown) => notes.push(`failed: ${(error as Error).message}`));
      const stop = async (): Promise<void> => {
        stopping.abort();
        await failed;
      };
      ends.push(stop);
      return { id, notes, dataDir, runsDir, stop };
    },
  };
});
