// Block devices that are paid for and not used: nothing is mounted from them, or from anything that is made of them.

import { firstLine } from '#lib/containers.mjs';
import { CannotCheck, skill } from '#skill';

const GIB = 1024 ** 3;
/** Members of something that keeps its own book of what is mounted. */
const HELD = new Set(['zfs_member', 'ceph_bluestore', 'drbd', 'bcache', 'VMFS_volume_member', 'oracleasm']);
/** Partitions that are never mounted: BIOS boot, Microsoft reserved, PReP boot. */
const NEVER_MOUNTED = new Set([
  '21686148-6449-6e6f-744e-656564454649',
  'e3c9e316-0b5c-4db8-817d-f92df00215ae',
  '9e1a2d38-c612-4316-aa26-8b49521e5a8b',
]);
const COLUMNS = ['NAME', 'TYPE', 'SIZE', 'FSTYPE', 'PARTTYPE'];

/** @throws {CannotCheck} without lsblk: a check that saw nothing must not pass */
async function blockDevices(ctx) {
  if (ctx.tool('lsblk') === undefined) throw new CannotCheck('lsblk', 'is not installed');
  const ask = (mounts) =>
    ctx.run(['lsblk', '--json', '--bytes', '--paths', '--output', [...COLUMNS, mounts].join(',')]);
  let answer = await ask('MOUNTPOINTS');
  // Before util-linux 2.37 a device had one mount point at most.
  if (answer.code !== 0 && answer.stderr.includes('unknown column')) answer = await ask('MOUNTPOINT');
  if (answer.code !== 0)
    throw new CannotCheck('lsblk', firstLine(answer.stderr) || `ends with ${answer.code}`);
  if (answer.stdout.trim() === '') return [];
  try {
    return JSON.parse(answer.stdout).blockdevices;
  } catch {
    throw new CannotCheck('lsblk', 'does not print JSON');
  }
}

/** The device and all that is made of it: partitions, volumes, arrays. */
const everythingWithin = (device) => [device, ...(device.children ?? []).flatMap(everythingWithin)];

/** `[SWAP]` is a mount point too. */
const isMounted = ({ mountpoint, mountpoints = [mountpoint] }) => mountpoints.some((path) => path != null);

await skill({
  url: import.meta.url,
  positionals: ['exclude'],
  help: {
    exclude: 'paths of devices to leave out begin like this; several with commas',
    'min-mb': 'devices smaller than this are left out',
  },
  async check(ctx) {
    const devices = await blockDevices(ctx);
    const excluded = ctx.words('exclude');
    let unused = 0;
    const seen = new Set(); // a volume on two disks is listed below both
    const judge = (device) => {
      if (seen.has(device.name)) return;
      if (excluded.some((start) => device.name.startsWith(start)) || device.type === 'rom') return;
      if (Number(device.size) < ctx.args['min-mb'] * 1024 ** 2) return;
      if (NEVER_MOUNTED.has(device.parttype?.toLowerCase())) return;
      seen.add(device.name);
      const where = device.name;
      const what = `${device.type}, ${(Number(device.size) / GIB).toFixed(1)} GiB, ${device.fstype ?? 'no file system'}`;
      if (everythingWithin(device).some(isMounted)) {
        ctx.ok(where, 'in use');
        // One in use does not speak for the others beside it.
        for (const part of device.children ?? []) judge(part);
      } else if (everythingWithin(device).some(({ fstype }) => HELD.has(fstype))) {
        ctx.warn('held_elsewhere', {
          where,
          message: `${what}: whether it is used cannot be seen from mounts`,
        });
      } else {
        unused += 1;
        ctx.fail('unused_volume', {
          where,
          message: `${what}: not mounted, nor anything on it`,
          severity: 'low',
        });
      }
    };
    for (const device of devices) judge(device);
    if (seen.size === 0) ctx.skip('there is no block device to look at');
    ctx.metric('devices', seen.size);
    ctx.metric('unused', unused);
  },
});
