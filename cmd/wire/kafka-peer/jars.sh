#!/bin/sh
# Gets Apache Kafka's jars from Maven Central into WIRE_CACHE: the broker and its performance
# tests. pom.xml has the version and SHA256SUMS what the jars must be, all of them; with a
# new version, run it with ACCEPT=1 to write the sums again, and look at the change. What is
# there already is left alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
libs=${WIRE_CACHE:-$HOME/.cache/penstock-wire}/kafka
cmp -s "$here/SHA256SUMS" "$libs/complete" && exit
rm -rf "${libs:?}.new"
mvn -q -B -ntp -C -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs.new" ||
	{ echo "APACHE KAFKA CANNOT BE HAD FROM MAVEN CENTRAL: nothing can be tested or measured against it" >&2; exit 1; }
(cd "$libs.new" && LC_ALL=C sha256sum -- *.jar) > "$libs.new/complete"
[ -z "${ACCEPT:-}" ] || cp "$libs.new/complete" "$here/SHA256SUMS"
diff "$here/SHA256SUMS" "$libs.new/complete" >&2 ||
	{ echo "APACHE KAFKA'S JARS ARE NOT THOSE OF $here/SHA256SUMS: they stay in $libs.new and are not used" >&2; exit 1; }
# A broker that runs finds the same jars at the same place.
[ ! -e "$libs" ] || mv "$libs" "$libs.old"
mv "$libs.new" "$libs"
rm -rf "${libs:?}.old"
