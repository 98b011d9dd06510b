#!/bin/sh
# Runs one script of this folder: sh step.sh inventory. Steps run in a login shell, which may set PATH anew; hence AUDIT_NODE.
here=$(dirname "$0")
node=${AUDIT_NODE:-node}
if ! command -v "$node" >/dev/null 2>&1; then
  echo "repo-audit: '$node' is not in the PATH of your login shell; set AUDIT_NODE to the path of Node 20 or newer" >&2
  exit 127
fi
script=$1
shift
exec "$node" "$here/$script.mjs" "$@"
