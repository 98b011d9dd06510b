#!/bin/bash
# A real S3 server for tests: Ceph's RGW with one monitor, one manager and one OSD in memory, on loopback, from the
# packages ceph-mon, ceph-osd, ceph-mgr and radosgw. Says `ready` when it answers (about 12 s, 0.5 GB), runs until its
# standard input ends, and then removes everything.
#   ceph.sh DIR MONITOR-PORT S3-PORT ACCESS-KEY SECRET-KEY
set -eu
dir=$1 monitor_port=$2 s3_port=$3 access_key=$4 secret_key=$5
conf=$dir/ceph.conf
keyring=$dir/keyring
mkdir -p "$dir/mon" "$dir/osd" "$dir/mgr" "$dir/run"
pids=()
finish() {
  trap '' TERM INT HUP
  kill -KILL "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' TERM INT HUP

fsid=$(cat /proc/sys/kernel/random/uuid)
cat >"$conf" <<CONF
[global]
fsid = $fsid
mon host = v2:127.0.0.1:$monitor_port
public network = 127.0.0.0/8
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 2
mon data = $dir/mon
osd data = $dir/osd
mgr data = $dir/mgr
run dir = $dir/run
log file = $dir/\$name.log
admin socket =
keyring = $keyring
[mon.a]
CONF
key() { ceph-authtool "$keyring" --gen-key -n "$@"; }
ceph-authtool --create-keyring "$keyring" >/dev/null
key mon. --cap mon 'allow *'
key client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
key osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow profile osd'
key mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *'
key client.rgw --cap mon 'allow rwx' --cap osd 'allow rwx'
{
  monmaptool --create --addv a "[v2:127.0.0.1:$monitor_port]" --fsid "$fsid" "$dir/monmap"
  ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap" --keyring "$keyring"
  ceph-mon -c "$conf" -f -i a </dev/null &
  pids+=($!)
  ceph -c "$conf" osd create
  ceph-osd -c "$conf" -i 0 --mkfs
  ceph-osd -c "$conf" -f -i 0 </dev/null &
  pids+=($!)
  ceph-mgr -c "$conf" -f -i x </dev/null &
  pids+=($!)
  radosgw-admin -c "$conf" -n client.rgw user create --uid=tester --display-name=tester \
    --access-key="$access_key" --secret-key="$secret_key"
  radosgw -c "$conf" -f -n client.rgw --rgw-frontends="beast endpoint=127.0.0.1:$s3_port" </dev/null &
  pids+=($!)
} >"$dir/start.log" 2>&1
until (echo >"/dev/tcp/127.0.0.1/$s3_port") 2>/dev/null; do
  kill -0 "${pids[@]}" 2>/dev/null || { tail -n 20 "$dir/start.log" >&2; exit 1; }
  read -r -t 0.2 && [ -n "$REPLY" ] || [ $? -gt 128 ] || exit 1
done
echo ready
cat >/dev/null
