#!/bin/sh
# Gets Apache Kafka's jars from Maven Central into WIRE_CACHE. What is there already is left
# alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
libs=${WIRE_CACHE:-$HOME/.cache/penstock-wire}/kafka
[ -e "$libs/complete" ] && exit
mvn -q -B -ntp -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs" ||
	{ echo "APACHE KAFKA CANNOT BE HAD FROM MAVEN CENTRAL: the verbs cannot be tested against it" >&2; exit 1; }
touch "$libs/complete"
