#!/usr/bin/env bash
# Prints the path of uv: the one on the PATH, or the pinned one, installed into .venv-uv by any python3 with pip.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

works() { "$1" --version >/dev/null 2>&1 </dev/null; }
for uv in "$(type -P uv)" "$PWD/.venv-uv/bin/uv"; do
  if [ -n "$uv" ] && works "$uv"; then printf '%s\n' "$uv" && exit 0; fi
done

while IFS= read -r python; do
  "$python" -I -m venv --clear .venv-uv >/dev/null 2>&1 </dev/null || continue
  .venv-uv/bin/python -m pip install --quiet --no-deps --require-hashes --disable-pip-version-check \
    -r <(awk '/^[a-z]/ { keep = /^uv==/ } keep' requirements-bootstrap.lock) >/dev/null 2>&1 || continue
  if works .venv-uv/bin/uv; then printf '%s\n' "$PWD/.venv-uv/bin/uv" && exit 0; fi
done < <(type -aP python3)

echo "error: no uv on the PATH, and no python3 here could install it with pip: see https://docs.astral.sh/uv/." >&2
exit 1
