#!/bin/sh
# Starts the server with the password that lies in a file; arguments are the server's.
# Only its hash is written down here, and none of it is seen among the processes.
set -eu
password=$(cat "$PASSWORD_FILE")
[ -n "$password" ] || { echo "start: $PASSWORD_FILE is empty; put a password in" >&2; exit 1; }
digest=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
umask 077
printf 'user default on sanitize-payload ~* &* +@all #%s\n' "$digest" >/tmp/access.conf
exec valkey-server /tmp/access.conf --dir /data --appendonly yes --appendfsync always --save "" \
  --maxmemory-policy noeviction "$@"
