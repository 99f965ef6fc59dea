#!/usr/bin/env bash
# Prints the path of a working CPython of the given version, or one sentence on stderr and exit code 1.
#
# usage: scripts/find_python.sh VERSION        (VERSION: 3.10)
#
# Looks at python$VERSION on the PATH, then in pyenv, then asks uv, which may download one.
set -uo pipefail

version=${1:?usage: find_python.sh VERSION}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
without_venv=""  # an interpreter of the right version that cannot make virtual environments

# Runs the candidate: a shim by that name may exist and fail. If it is good, prints the interpreter behind a shim or
# an active virtual environment (which may be the one about to be made again), and exits.
try() {
  local candidate=$1 found
  [ -n "$candidate" ] || return 0
  found=$("$candidate" -I -c '
import os, sys
if sys.implementation.name == "cpython" and "%d.%d" % sys.version_info[:2] == sys.argv[1]:
    in_venv = sys.prefix != sys.base_prefix
    print(os.path.join(sys.base_prefix, "bin", "python" + sys.argv[1]) if in_venv else sys.executable)
' "$version" 2>/dev/null </dev/null) || return 0
  [ -n "$found" ] || return 0
  if "$found" -I -c 'import ensurepip, venv' 2>/dev/null; then
    printf '%s\n' "$found"
    exit 0
  fi
  without_venv=$found
}

while IFS= read -r candidate; do try "$candidate"; done < <(type -aP "python$version")

pyenv=$(type -P pyenv)
if [ -n "$pyenv" ]; then try "$("$pyenv" prefix "$version" 2>/dev/null)/bin/python"; fi
# pyenv knows its versions by PYENV_ROOT alone, which a fresh shell may lack: they also lie beside pyenv itself.
for root in "${PYENV_ROOT:-}" "${HOME:-}/.pyenv" "${pyenv:+$(dirname "$(readlink -f "$pyenv")")/..}"; do
  for candidate in "$root/versions/$version".*/bin/python; do try "$candidate"; done
done

# From / so that uv does not answer with this project's own .venv.
uv=$("$here/find_uv.sh" 2>/dev/null)
if [ -n "$uv" ]; then
  try "$(cd / && "$uv" python find --system "$version" 2>/dev/null)"
  echo "No Python $version here yet; asking uv to download one." >&2
  (cd / && UV_PYTHON_INSTALL_BIN=0 "$uv" python install --quiet "$version" >/dev/null 2>&1)
  try "$(cd / && "$uv" python find --system "$version" 2>/dev/null)"
fi

if [ -n "$without_venv" ]; then
  echo "error: $without_venv is Python $version but cannot make virtual environments:" \
    "install its venv package (Debian, Ubuntu: apt install python$version-venv)." >&2
else
  echo "error: no working CPython $version on the PATH or in pyenv, and uv could not download one:" \
    "install it (pyenv install $version, or your distribution's python$version and python$version-venv)." >&2
fi
exit 1
