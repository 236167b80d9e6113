#!/usr/bin/env bash
# Creates every secret that this project generates, in the folder given, TRADING_SECRETS_DIR or the project's secrets/.
#
# Folder 0700, files 0600, nothing is ever overwritten, and a half-written file never bears its final name. Names go to
# standard error, values nowhere. Exchange keys are not made here: write exchange_api_key and exchange_api_secret.
set -euo pipefail
umask 077

folder=${1:-${TRADING_SECRETS_DIR:-$(dirname "$0")/../secrets}}
names=(
  kill_switch_secret kill_switch_secret_b
  airflow_conf_fernet_key airflow_conf_secret_key airflow_conf_jwt_secret
  db_password redis_password ui_admin_password
  paper_api_key paper_api_secret
)

fail() { echo "init-secrets: $1" >&2; exit 78; }

random_base64() {
  if command -v openssl >/dev/null 2>&1; then
    openssl rand -base64 32
  else
    # -I: neither the working folder nor PYTHON* variables decide what is imported.
    "${PYTHON:-python3}" -I -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'
  fi
}

create() {
  local target=$folder/$1
  if [ -e "$target" ] || [ -L "$target" ]; then
    return
  fi
  temporary=$(mktemp "$folder/.$1.XXXXXX")
  case $1 in
    paper_api_*) random_base64 | tr '+/' 'Az' | tr -d '=' >"$temporary" ;; # letters and digits alone, as venues' keys are
    *) random_base64 | tr '+/' '-_' >"$temporary" ;;                       # Fernet's alphabet, safe in URLs and headers too
  esac
  [ "$(wc -c <"$temporary")" -ge 43 ] || fail "no random bytes for $1: is openssl or python3 broken?"
  # A link fails where the name exists by now: of two runs at once one wins, and the other keeps its hands off.
  # Where the disk knows no links, mv -n is the next best.
  if ln "$temporary" "$target" 2>/dev/null || { [ ! -e "$target" ] && mv -n "$temporary" "$target"; }; then
    echo "created $1" >&2
  fi
  rm -f "$temporary"
}

temporary=
trap 'rm -f "$temporary"' EXIT

mkdir -p "$folder" 2>/dev/null || fail "cannot create the folder $folder: choose another one, or mend its parent's rights"
[ -w "$folder" ] || fail "the folder $folder is not writable by $(id -un): choose another one, or mend its rights"
chmod 700 "$folder" 2>/dev/null || fail "the folder $folder belongs to another user: expected $(id -un)"

for name in "${names[@]}"; do
  create "$name"
done
