#!/usr/bin/env bash
# Creates every secret that this project generates, in the folder given, TRADING_SECRETS_DIR or the project's secrets/.
#
#   scripts/init-secrets.sh [--exchange] [--owner UID] [FOLDER [NAME…]]      NAME: these alone
#
# --exchange also asks for the exchange's key and secret, without echo. --owner gives the folder to that user:
# containers run as 50000 and mount files as they are, so `sudo scripts/init-secrets.sh --owner 50000` is what Docker needs.
# Folder 0700, files 0600, nothing is ever overwritten, and a half-written file never bears its final name. Names go to
# standard error, values nowhere. Which exchange keys are safe, `trading secrets check` asks the venue.
set -euo pipefail
umask 077

names=(
  kill_switch_secret kill_switch_secret_b audit_secret
  airflow_conf_fernet_key airflow_conf_secret_key airflow_conf_jwt_secret
  db_password redis_password ui_admin_password
  paper_api_key paper_api_secret
)
asked=(exchange_api_key exchange_api_secret)

fail() { echo "init-secrets: $1" >&2; exit 78; }

exchange=
owner=
while [ $# -gt 0 ]; do
  case $1 in
    --exchange) exchange=yes; shift ;;
    --owner) owner=${2:-}; [[ $owner =~ ^[0-9]+$ ]] || fail "--owner: expected a user's number, as in --owner 50000"; shift 2 ;;
    -*) fail "unknown option $1: expected --exchange or --owner UID" ;;
    *) break ;;
  esac
done
folder=${1:-${TRADING_SECRETS_DIR:-$(dirname "$0")/../secrets}}
if [ $# -gt 1 ]; then
  names=("${@:2}")
fi

random_base64() {
  if command -v openssl >/dev/null 2>&1; then
    openssl rand -base64 32
  else
    # -I: neither the working folder nor PYTHON* variables decide what is imported.
    "${PYTHON:-python3}" -I -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'
  fi
}

draft() { temporary=$(mktemp "$folder/.$1.XXXXXX"); }

# Gives the file that was written its name, if nothing has it by now.
# A link fails where the name exists: of two runs at once one wins, and the other keeps its hands off.
# Where the disk knows no links, mv -n is the next best.
keep() {
  local target=$folder/$1
  if ln "$temporary" "$target" 2>/dev/null || { [ ! -e "$target" ] && mv -n "$temporary" "$target"; }; then
    echo "created $1" >&2
  fi
  rm -f "$temporary"
}

is_there() { [ -e "$folder/$1" ] || [ -L "$folder/$1" ]; }

create() {
  if is_there "$1"; then
    return
  fi
  draft "$1"
  case $1 in
    paper_api_*) random_base64 | tr '+/' 'Az' | tr -d '=' >"$temporary" ;; # letters and digits alone, as venues' keys are
    *) random_base64 | tr '+/' '-_' >"$temporary" ;;                       # Fernet's alphabet, safe in URLs and headers too
  esac
  [ "$(wc -c <"$temporary")" -ge 43 ] || fail "no random bytes for $1: is openssl or python3 broken?"
  keep "$1"
}

# A person's answer, neither shown nor on any command line; printf is the shell's own.
ask() {
  local value
  if is_there "$1"; then
    return
  fi
  if [ -t 0 ]; then
    read -rsp "$1 (not shown): " value </dev/tty && echo >&2
  else
    read -r value || fail "expected $1 on a line of standard input"
  fi
  [ "${#value}" -ge 16 ] || fail "$1 is too short: expected at least 16 characters"
  shopt -s nocasematch
  [[ ! $value =~ (change.?me|replace.?me|example|placeholder|your[._ -]|^x+$|^\<) ]] || fail "$1 is an example, not a secret of yours"
  shopt -u nocasematch
  [[ ! $value =~ [[:space:][:cntrl:]] ]] || fail "$1 holds white space: expected the key alone"
  draft "$1"
  printf '%s\n' "$value" >"$temporary"
  keep "$1"
}

temporary=
trap 'rm -f "$temporary"' EXIT

mkdir -p "$folder" 2>/dev/null || fail "cannot create the folder $folder: choose another one, or mend its parent's rights"
[ -w "$folder" ] || fail "the folder $folder is not writable by $(id -un): choose another one, or mend its rights"
chmod 700 "$folder" 2>/dev/null || fail "the folder $folder belongs to another user: expected $(id -un)"

for name in "${names[@]}"; do
  create "$name"
done
if [ -n "$exchange" ]; then
  for name in "${asked[@]}"; do
    ask "$name"
  done
fi
if [ -n "$owner" ]; then
  chown -R "$owner" "$folder" 2>/dev/null || fail "cannot give $folder to user $owner: run this with sudo"
fi
