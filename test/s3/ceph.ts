/** Ceph's RGW, where its packages are installed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { S3mini } from 's3mini';
import { freePorts } from '../support/free-ports.ts';
import type { S3Place } from './harness.ts';
import { ACCOUNT, BUCKET } from './s3-server.ts';

const SCRIPT = fileURLToPath(new URL('ceph.sh', import.meta.url));
const PROGRAMS = [
  'ceph',
  'ceph-mon',
  'ceph-osd',
  'ceph-mgr',
  'radosgw',
  'radosgw-admin',
  'monmaptool',
  'ceph-authtool',
];

/** The programs that are not there; none: the server can be run. */
export function missingPrograms(): readonly string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return PROGRAMS.filter((program) => !folders.some((folder) => isExecutable(join(folder, program))));
}

export class Ceph {
  readonly place: S3Place;
  readonly #process: ChildProcess;

  static async start(): Promise<Ceph> {
    const dir = mkdtempSync(join(tmpdir(), 'reeve-ceph-'));
    const [monitorPort = 0, s3Port = 0] = await freePorts(2);
    const process = spawn(
      SCRIPT,
      [dir, String(monitorPort), String(s3Port), ACCOUNT.accessKeyId, ACCOUNT.secretAccessKey],
      { stdio: ['pipe', 'pipe', 'inherit'], detached: true },
    );
    const ready = new Promise<void>((resolve, reject) => {
      createInterface(process.stdout).once('line', () => resolve());
      process.once('exit', (code) => reject(new Error(`the S3 server did not start (${code})`)));
    });
    await ready;
    const endpoint = `http://127.0.0.1:${s3Port}`;
    const ceph = new Ceph(process, { endpoint, bucket: BUCKET, account: ACCOUNT });
    try {
      // Without a region of its own, its name for where buckets are is `default`.
      const client = new S3mini({ ...ACCOUNT, endpoint: `${endpoint}/${BUCKET}`, region: 'default' });
      if (!(await client.createBucket())) throw new Error('the bucket could not be made');
    } catch (error) {
      await ceph.close();
      throw error;
    }
    return ceph;
  }

  private constructor(process: ChildProcess, place: S3Place) {
    this.#process = process;
    this.place = place;
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await ended;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
