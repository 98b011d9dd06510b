/** What tests of operational runs share: the runner as a program, and what it leaves. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { RunMeta } from '../../src/doors/agents/runner/artifacts.ts';
import { tarOf } from '../doors/agents/tar.ts';
import type { Any, Home, Result, Running, RunOptions } from './rig.ts';

export function startRun(home: Home, args: readonly string[], options: RunOptions = {}): Running {
  return home.start(['run', ...args], { program: 'jarvas_lite_run', ...options });
}

/** Runs with the id `r` and the action `act`. */
export function runOnce(home: Home, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  return startRun(home, ['--run-id', 'r', '--action', 'act', ...args], options).ended;
}

/** Paths below a run's directory, sorted. */
export function tree(home: Home, id = 'r'): string[] {
  const root = home.path(`runs/${id}`);
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted();
}

export const TREE = [
  'artifacts/meta.json',
  'artifacts/output.raw',
  'artifacts/summary.json',
  'logs/step_act.log',
];

export function bytesOf(home: Home, name: string, id = 'r'): Buffer {
  return readFileSync(home.path(`runs/${id}/${name}`));
}

export function outputOf(home: Home, id = 'r'): string {
  return bytesOf(home, 'artifacts/output.raw', id).toString();
}

export function logOf(home: Home, id = 'r'): string[] {
  return bytesOf(home, 'logs/step_act.log', id).toString().split('\n');
}

export function metaOf(home: Home, id = 'r'): RunMeta {
  return JSON.parse(bytesOf(home, 'artifacts/meta.json', id).toString()) as RunMeta;
}

export function summaryOf(home: Home, id = 'r'): Any {
  return JSON.parse(bytesOf(home, 'artifacts/summary.json', id).toString());
}

/** A package of a skill that Node runs. */
export function packageOf(script: string, manifest: object = {}): Buffer {
  const document = {
    name: 'probe',
    version: '1.0.0',
    pillar: 'devsecops',
    description: 'a probe',
    entry: 'check.mjs',
    interpreter: 'node',
    args: [
      { name: 'text', type: 'string' },
      { name: 'key', type: 'string', secret: true },
    ],
    ...manifest,
  };
  return gzipSync(
    tarOf([
      { name: 'skill.json', content: JSON.stringify(document) },
      { name: 'check.mjs', content: script },
    ]),
  );
}
