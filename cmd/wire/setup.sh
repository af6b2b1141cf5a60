#!/bin/sh
# Installs what the wire tests need on Debian 12 with Go, Python and Node. May be run again.
set -eu
cd "$(dirname "$0")"
cache=${WIRE_CACHE:-$HOME/.cache/penstock-wire}
mkdir -p "$cache"
if ! command -v kcat > /dev/null; then
	apt-get update -qq
	apt-get install -y -qq kcat
fi
venv() { # venv NAME KAFKA-PYTHON-VERSION
	[ -e "$cache/$1/complete" ] && return
	python3 -m venv "$cache/$1"
	"$cache/$1/bin/pip" install -q kafka-python=="$2" lz4==4.4.5 zstandard==0.25.0 python-snappy==0.7.3
	touch "$cache/$1/complete"
}
venv py 3.0.12
venv py202 2.0.2
(cd node && npm ci --silent)
go mod download
