#!/usr/bin/env bash
# Makes .venv from the lock files and installs the project into it; does nothing where that is already done.
#
# The stamps in .venv are copies of what was installed, written last: a setup that was interrupted starts again from an
# empty .venv, and a checkout that only changes the time of a file does not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

locks=(requirements-bootstrap.lock requirements.lock)
pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet --progress-bar off)

if ! .venv/bin/python -c '' 2>/dev/null || ! cat "${locks[@]}" | cmp -s - .venv/.locked; then
  if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    echo "error: the runtime needs Linux on x86-64 (TensorFlow 2.8, Reverb and Launchpad have no other wheels)." >&2
    exit 1
  fi
  python=$(scripts/find_python.sh 3.10)
  echo "Making .venv with $python: $(grep -c '^[A-Za-z].*==' requirements.lock) packages, a few minutes."
  "$python" -m venv --clear .venv
  # pip first: the one bundled with Python may be too old to build a wheel of the lock's one source package (dm-acme).
  "${pip[@]}" --require-hashes -r requirements-bootstrap.lock
  "${pip[@]}" --require-hashes --no-build-isolation -r requirements.lock
  cat "${locks[@]}" > .venv/.locked.part
  mv .venv/.locked.part .venv/.locked
fi

if ! cmp -s setup.py .venv/.installed; then
  # setuptools warns of what an editable install is.
  PYTHONWARNINGS=ignore "${pip[@]}" --no-deps --no-build-isolation --editable .
  cp setup.py .venv/.installed.part
  mv .venv/.installed.part .venv/.installed
  echo "Installed acme-agents: .venv/bin/acme-agents"
fi
