#!/usr/bin/env bash
# The tests open reports in the system's Chromium; this makes sure that there is one.
set -euo pipefail

for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$name" >/dev/null; then exit 0; fi
done

if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  if apt-get -qq update && apt-get -qq install -y chromium >/dev/null && command -v chromium >/dev/null; then exit 0; fi
fi

echo "no browser for the tests: install Chromium (Debian: apt-get install chromium) or Google Chrome" >&2
exit 1
