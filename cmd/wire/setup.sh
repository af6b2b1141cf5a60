#!/bin/sh
# Installs what the wire tests and the main job need on Debian 12 with Go: packages by apt
# (as root), clients by pip, npm, Maven and Go. What is there already is left alone, so it
# may be run again at no cost. Everything that is not a Debian package goes to WIRE_CACHE.
set -eu
cd "$(dirname "$0")"
cache=${WIRE_CACHE:-$HOME/.cache/penstock-wire}
mkdir -p "$cache"

packages=
need() { # need COMMAND PACKAGE...
	command -v "$1" > /dev/null && return
	shift
	packages="$packages $*"
}
need kcat kcat
need javac default-jdk-headless
need mvn maven
need node nodejs
need npm npm
need gcc gcc libc6-dev
need python3 python3 python3-venv
python3 -c 'import ensurepip' 2> /dev/null || packages="$packages python3-venv"
if [ -n "$packages" ]; then
	echo "installing$packages"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages > "$cache/apt.log" 2>&1 || { tail "$cache/apt.log"; exit 1; }
fi

venv() { # venv NAME KAFKA-PYTHON-VERSION
	[ -e "$cache/$1/complete" ] && return
	rm -rf "${cache:?}/$1"
	python3 -m venv "$cache/$1"
	"$cache/$1/bin/pip" install -q kafka-python=="$2" lz4==4.4.5 zstandard==0.25.0 python-snappy==0.7.3
	touch "$cache/$1/complete"
}
venv py 3.0.12
venv py202 2.0.2

jars() { # jars KAFKA-CLIENTS-VERSION
	[ -e "$cache/java-$1/complete" ] && return
	rm -rf "${cache:?}/java-$1"
	mvn -q -B -ntp -Dstyle.color=never -f java/pom.xml -Dk="$1" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/java-$1"
	touch "$cache/java-$1/complete"
}
jars 4.3.1
jars 2.8.2
sh kafka-peer/jars.sh

if [ ! -e node/node_modules/complete ] || [ node/package-lock.json -nt node/node_modules/complete ]; then
	(cd node && npm ci --silent && touch node_modules/complete)
fi
go mod download
