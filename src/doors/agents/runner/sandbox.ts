/**
 * What keeps a command from the network and the file system, as far as this machine has it: bubblewrap, or namespaces by
 * `unshare`. Whether a way works is found out by trying it, right before the run and with its own directories.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface SandboxWish {
  /** Whether the command may use the network. */
  readonly network: boolean;
  /** Refuse to run where a protection is missing; otherwise `meta.json` says which one was. */
  readonly required?: boolean;
}

export type ProtectionName = 'no_network' | 'read_only_root' | 'limits';

export interface Protection {
  readonly by: 'bubblewrap' | 'unshare' | 'none';
  /** What was asked for and could not be had. */
  readonly missing: readonly ProtectionName[];
}

export interface Sandbox {
  readonly protection: Protection;
  /** Stands before the program. */
  readonly prefix: readonly string[];
}

export interface SandboxPlaces {
  /** The directories that may be written. */
  readonly writable: readonly [cwd: string, artifacts: string];
  /** One that may not, for the trial. */
  readonly closed: string;
  /** Where the tools are looked for, as in `PATH`. */
  readonly path: string;
}

/** Largest file that a command may write, in bytes. */
const FILE_BYTES_MAX = 1024 ** 3;
const PROCESSES_MAX = 4_096;
const TRIAL_MS = 10_000;

interface Way {
  readonly by: Protection['by'];
  readonly prefix: readonly string[];
  readonly gives: readonly ProtectionName[];
}

/** The way with the most protection of those that work here. */
export async function makeSandbox(wish: SandboxWish, places: SandboxPlaces): Promise<Sandbox> {
  const limits = limitsPrefix(places.path);
  const wanted: ProtectionName[] = [...(wish.network ? [] : (['no_network'] as const)), 'read_only_root'];
  const way = await firstThatWorks(waysOf(wish, places), places);
  const missing = [
    ...wanted.filter((name) => way?.gives.includes(name) !== true),
    ...(limits === undefined ? (['limits'] as const) : []),
  ];
  return {
    protection: { by: way?.by ?? 'none', missing },
    prefix: [...(limits ?? []), ...(way?.prefix ?? [])],
  };
}

function waysOf({ network }: SandboxWish, { writable, path }: SandboxPlaces): readonly Way[] {
  const both: ProtectionName[] = network ? ['read_only_root'] : ['no_network', 'read_only_root'];
  const ways: Way[] = [];
  const bwrap = find('bwrap', path);
  if (bwrap !== undefined) {
    const binds = writable.flatMap((place) => ['--bind', place, place]);
    const net = network ? [] : ['--unshare-net'];
    const prefix = [
      bwrap,
      '--ro-bind',
      '/',
      '/',
      '--dev-bind',
      '/dev',
      '/dev',
      ...binds,
      ...net,
      '--chdir',
      writable[0],
      '--',
    ];
    ways.push({ by: 'bubblewrap', prefix, gives: both });
  }
  const unshare = find('unshare', path);
  if (unshare === undefined) return ways;
  const isRoot = process.getuid?.() === 0;
  const net = network ? [] : ['--net'];
  // Who is not root becomes root of a user namespace to mount, and afterwards itself again in another one.
  const back = `${unshare} --user --map-user=${process.getuid?.()} --map-group=${process.getgid?.()} --`;
  const script = `${MOUNTS}exec ${isRoot ? '' : back} "$@"`;
  const user = isRoot ? [] : ['--user', '--map-root-user'];
  ways.push({
    by: 'unshare',
    prefix: [
      unshare,
      ...user,
      '--mount',
      '--propagation',
      'private',
      ...net,
      '--',
      '/bin/sh',
      '-c',
      script,
      'sh',
      ...writable,
    ],
    gives: both,
  });
  if (!network) {
    const self = isRoot ? [] : ['--user', '--map-current-user'];
    ways.push({ by: 'unshare', prefix: [unshare, ...self, '--net', '--'], gives: ['no_network'] });
  }
  return ways;
}

/** Makes every file system read-only, but for two directories. Flags stay: a user namespace may not take them away. */
const MOUNTS = `set -e
one=$1 two=$2
shift 2
mount --bind "$one" "$one"
mount --bind "$two" "$two"
cd "$one"
while read -r _ _ _ _ point options _; do
  case $point in "$one"|"$two"|/dev|/dev/*|/proc|/proc/*|/sys|/sys/*) continue ;; esac
  case $options in rw*) mount -o "remount,bind,ro\${options#rw}" "$(printf %b "$point")" ;; esac
done </proc/self/mountinfo
`;

async function firstThatWorks(ways: readonly Way[], places: SandboxPlaces): Promise<Way | undefined> {
  for (const way of ways) if (await works(way, places)) return way;
  return undefined;
}

/** Carries out a trial in the sandbox that looks for each protection, and for what must still be possible. */
function works({ prefix, gives }: Way, { writable, closed, path }: SandboxPlaces): Promise<boolean> {
  const checks = [
    ...writable.map((_, at) => `: >"$${at + 1}/.tmp-trial" && rm "$${at + 1}/.tmp-trial" || exit 1`),
    ...(gives.includes('read_only_root') ? ['if (: >"$3/.tmp-trial") 2>/dev/null; then exit 1; fi'] : []),
    ...(gives.includes('no_network')
      ? [
          'while read -r name _; do case $name in *Inter*|face*|lo:*) ;; *) exit 1 ;; esac; done </proc/net/dev',
        ]
      : []),
  ];
  const argv: readonly string[] = [...prefix, '/bin/sh', '-c', checks.join('\n'), 'sh', ...writable, closed];
  const [program = '', ...args] = argv;
  return new Promise((done) => {
    execFile(
      program,
      args,
      { env: { PATH: path }, cwd: writable[0], timeout: TRIAL_MS, killSignal: 'SIGKILL' },
      (error) => done(error === null),
    );
  });
}

/** Limits of file size and of processes, never above those that hold already; undefined where they cannot be set. */
function limitsPrefix(path: string): readonly string[] | undefined {
  const prlimit = find('prlimit', path);
  if (prlimit === undefined) return undefined;
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    const least = (name: string, wanted: number): number => {
      const [, hard = ''] = new RegExp(`^${name} +\\S+ +(\\S+)`, 'm').exec(limits) ?? [];
      return hard === 'unlimited' ? wanted : Math.min(wanted, Number(hard));
    };
    const files = least('Max file size', FILE_BYTES_MAX);
    const processes = least('Max processes', PROCESSES_MAX);
    return [prlimit, '--core=0', `--fsize=${files}`, `--nproc=${processes}`, '--'];
  } catch {
    return undefined;
  }
}

function find(program: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
