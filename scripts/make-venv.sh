#!/bin/sh
# Makes an environment of a locked, hashed list of packages; does nothing where that is done.
#
#   scripts/make-venv.sh PYTHON NAME REQUIREMENTS [FOLDER]      NAME says which list: its stamp is FOLDER/installed-NAME
#
# FOLDER is .venv if left out, and then this project is installed too; programs that get along with none of its packages
# take a folder of their own.
#
# Needs python3 with venv alone; uses uv where it is there, since it is faster. People's lines go to standard error.
set -eu

wanted=$1 name=$2 requirements=$3 folder=${4:-.venv}

say() { printf '%s\n' "$*" >&2; }
suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }

find_python() {
    for candidate in "$wanted" python3.13 python3.12 python3.11; do
        if suits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    found=$("$wanted" --version 2>&1) || found="no $wanted on the PATH"
    say "Python 3.11, 3.12 or 3.13 is needed, found: $found."
    say "Install one (Debian and Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python@3.12),"
    say "or name one: make PYTHON=/path/to/python3.12 run"
    exit 1
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        say "$python cannot make virtual environments: the package python$version-venv is missing."
        say "Install it (Debian and Ubuntu: sudo apt install python$version-venv) and run make again."
        exit 1
    fi
    "$python" -m venv --clear "$folder"
    pwd > "$folder/made-in"
}

# A copied or moved checkout brings programs along that start the Python of another folder.
if ! "$folder/bin/python" -c '' 2>/dev/null || { [ -f "$folder/made-in" ] && [ "$(cat "$folder/made-in")" != "$(pwd)" ]; }; then
    make_venv
fi

mark="$(pwd) $(cat "$requirements" pyproject.toml | cksum) $("$folder/bin/python" --version)"
stamp=$folder/installed-$name
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$mark" ]; then
    exit 0
fi

began=$(date +%s)
say "… installing the $(grep -c '^[a-zA-Z0-9]' "$requirements") packages of $requirements (the first time takes a minute or two)"
if uv --version >/dev/null 2>&1; then
    uv pip install --quiet --compile-bytecode --python "$folder/bin/python" --require-hashes -r "$requirements" >&2
    [ "$folder" != .venv ] || uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e . >&2
else
    [ -x "$folder/bin/pip" ] || "$folder/bin/python" -m ensurepip >/dev/null
    set -- --quiet --disable-pip-version-check --no-input
    "$folder/bin/python" -m pip install "$@" --require-hashes -r "$requirements" >&2
    [ "$folder" != .venv ] || .venv/bin/python -m pip install "$@" --no-deps --no-build-isolation -e . >&2
fi
printf '%s\n' "$mark" > "$stamp"
say "✓ packages ($(($(date +%s) - began)) s)"
