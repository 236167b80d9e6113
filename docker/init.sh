#!/bin/sh
# What runs before everything else, at each start: both schemas, the account, the web UI's roles. Safe to repeat.
set -eu

airflow db migrate
trading prepare
python /opt/trading/docker/prepare_ui.py
