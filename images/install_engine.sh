#!/bin/sh
# Installs an engine into /opt/engines/NAME, apart from our own packages: engines want other
# versions of torch. The second argument is a file of pinned and hashed requirements.
set -eu
export UV_NO_CACHE=1 UV_LINK_MODE=copy UV_SYSTEM_CERTS=1
/opt/uv/bin/uv venv --python "$(command -v python3)" "/opt/engines/$1"
exec /opt/uv/bin/uv pip install --python "/opt/engines/$1/bin/python" --compile-bytecode \
  --no-deps --require-hashes -r "$2"
