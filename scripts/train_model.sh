#!/usr/bin/env bash
# Train the models of the week that has just closed: scripts/train_model.sh [reward|ppo|both]
# Weeks whose feedback was never extracted are extracted first. Databases and artifacts as .env or the environment says.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-both}
case "$what" in
reward | ppo | both) ;;
*)
    echo "usage: scripts/train_model.sh [reward|ppo|both]" >&2
    exit 2
    ;;
esac
make --silent install
.venv/bin/rlhf up
.venv/bin/rlhf backfill --local
.venv/bin/rlhf train "$what"
