#!/bin/sh
# Lints what the containers are made of. A tool that is not on this machine is named in one line and skipped.
set -eu
cd "$(dirname "$0")/.."

dockerfiles="Dockerfile tests/compose/postgres/Dockerfile tests/compose/redis/Dockerfile"
skipped() { printf 'skipped: %s is not on this machine, so %s\n' "$1" "$2" >&2; }

if command -v hadolint >/dev/null 2>&1; then
    # DL3008: Debian's archive keeps one version of a package, the one with the security fixes; an older pin cannot be built.
    # shellcheck disable=SC2086 - several files
    # DL3067: the whole system is copied into one layer on purpose (docs/decisions/0021-containers.md).
    hadolint --ignore DL3008 --ignore DL3067 $dockerfiles
else
    skipped hadolint "the Dockerfiles were not linted"
fi

if docker compose version >/dev/null 2>&1; then
    compose="docker compose"
elif command -v docker-compose >/dev/null 2>&1; then
    compose=docker-compose
else
    compose=
fi
if [ -n "$compose" ]; then
    # An example must not become wrong either: each of its lines is set here, the commented ones too.
    settings=$(mktemp)
    trap 'rm -f "$settings"' EXIT
    sed -n 's/^#\{0,1\}\([A-Z_]*=[^ ]*\).*/\1/p' .env.example >"$settings"
    $compose --file docker-compose.yml config --quiet
    $compose --env-file "$settings" --file docker-compose.yml --profile cli --profile alerts config --quiet
    $compose --file docker-compose.yml --file tests/compose/override.yml config --quiet
else
    skipped "Docker Compose" "docker-compose.yml was not checked"
fi

if command -v checkov >/dev/null 2>&1; then
    # CKV_DOCKER_2: health checks stand in docker-compose.yml, since one image has several roles.
    # CKV_DOCKER_3: the stand-ins of the tests begin as root and give that up themselves, as the public images do.
    # CKV_DOCKER_7: the base is an argument, which checkov does not resolve; its default names a tag.
    # --skip-download: the rules that are installed, without a call to their maker.
    set -- --quiet --compact --skip-download --framework dockerfile
    checkov "$@" --skip-check CKV_DOCKER_2,CKV_DOCKER_7 --file Dockerfile
    checkov "$@" --skip-check CKV_DOCKER_2,CKV_DOCKER_3,CKV_DOCKER_7 --directory tests/compose
else
    skipped checkov "the Dockerfiles were not checked for weak settings"
fi
