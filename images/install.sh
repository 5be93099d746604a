#!/bin/sh
# Installs Python packages into /opt/flagscale inside an image build; arguments as for
# `uv pip install`. Byte code is compiled here because the file system is read-only at run time.
set -eu
UV_VERSION=0.13.9
if ! /opt/uv/bin/uv --version 2>/dev/null | grep -q " $UV_VERSION"; then
  python3 -m venv --clear /opt/uv-new
  /opt/uv-new/bin/pip install --no-cache-dir --quiet "uv==$UV_VERSION"
  mkdir -p /opt/uv/bin
  cp /opt/uv-new/bin/uv /opt/uv/bin/uv
  rm -rf /opt/uv-new
fi
# No cache: it would double the size of the disk needed, and the lock changes seldom.
export UV_NO_CACHE=1 UV_LINK_MODE=copy UV_SYSTEM_CERTS=1
[ -d /opt/flagscale ] || /opt/uv/bin/uv venv --python "$(command -v python3)" /opt/flagscale
exec /opt/uv/bin/uv pip install --python /opt/flagscale/bin/python --compile-bytecode "$@"
