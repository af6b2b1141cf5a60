"""Reads a topic in a group and compares: verify.py BOOTSTRAP TOPIC FILE (stanzas | ledger)."""
import collections, hashlib, sys, time
from kafka import KafkaConsumer, TopicPartition

addr, topic, path, form = sys.argv[1:5]
want = collections.defaultdict(list)
raw = open(path, "rb").read()
for r in raw.split(b"\x02" if form == "stanzas" else b"\n"):
    if r:
        k, v = r.split(b"\x01" if form == "stanzas" else b"\t", 1)
        want[k].append(v)
n = sum(map(len, want.values()))
c = KafkaConsumer(topic, bootstrap_servers=addr, group_id="verify-%s-%d" % (topic, time.time()), auto_offset_reset="earliest")
got, count, start, end = collections.defaultdict(list), 0, time.time(), None
while time.time() < start + 60:
    for rs in c.poll(200).values():
        for r in rs:
            got[r.key].append(r.value)
            count += 1
    tps = c.assignment()
    if tps:
        end = end or c.end_offsets(tps)
        if all(c.position(tp) >= end[tp] for tp in tps):
            break
c.close()
seconds = time.time() - start


def checksum(d):
    h = hashlib.sha256()
    for k in sorted(d):
        for v in d[k]:
            h.update(k + b"\x01" + v + b"\x02")
    return h.hexdigest()[:16]


print("%s: %d records wanted, %d read by Python in %.1f s, checksums %s %s" % (topic, n, count, seconds, checksum(want), checksum(got)))
for k in want:
    if got[k] != want[k]:
        print("key %r: %d records wanted, %d read, or another order or bytes" % (k, len(want[k]), len(got[k])))
        break
sys.exit(0 if got == want else 1)
