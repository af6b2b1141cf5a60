"""Reads a topic with two members of one group and compares it with what was written.

verify.py BOOTSTRAP TOPIC FILE (stanzas | ledger) NAME COMMAND...: COMMAND is a reader, as reader.py.
Every record of the file must be in the topic exactly once, in order per key, byte for byte (by the
SHA-256 of its value), and nothing else. A record that a group reads again after a rebalance, at
the same offset, is counted and is no second record.
"""
import base64, collections, hashlib, subprocess, sys, tempfile, threading, time
from kafka import KafkaConsumer, TopicPartition

addr, topic, path, form, name = sys.argv[1:6]
command = sys.argv[6:]
PATIENCE = 120


def fail(why):
    print("%s %s: %s" % (topic, name, why))
    sys.exit(1)


# The key and the digests of its values, in order.
want = collections.defaultdict(list)
with open(path, "rb") as f:
    for r in f.read().split(b"\x02" if form == "stanzas" else b"\n"):
        if r:
            key, value = r.split(b"\x01" if form == "stanzas" else b"\t", 1)
            want[key].append(hashlib.sha256(value).hexdigest())
records = sum(map(len, want.values()))

c = KafkaConsumer(bootstrap_servers=addr)
ends = c.end_offsets([TopicPartition(topic, p) for p in c.partitions_for_topic(topic)])
starts = c.beginning_offsets(list(ends))
c.close()
if sum(ends.values()) != records or any(starts.values()):
    fail("%d records were written, the log holds %d, from %s" % (records, sum(ends.values()), sorted(starts.values())))

log, again, counts, lock = {}, 0, [0, 0], threading.Lock()  # (partition, offset): key, digest
size, first, last, complaint = 0, 0, 0, []


def collect(i, out):
    global again, size, first, last
    for line in out:
        part, offset, key, length, digest = line.split()
        at, record = (int(part), int(offset)), (base64.b64decode(key), digest.decode())
        with lock:
            if at in log:
                again += 1
                if log[at] != record:
                    complaint.append("%s is read as two records" % (at,))
                continue
            log[at] = record
            counts[i] += 1
            size += int(length)
            last = time.time()
            first = first or last


began = time.time()
group = "%s-%s-%d" % (topic, name, began)
said = tempfile.TemporaryFile()
members = [subprocess.Popen(command + [addr, group, topic], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) for _ in range(2)]
threads = [threading.Thread(target=collect, args=(i, m.stdout)) for i, m in enumerate(members)]
for t in threads:
    t.start()
while len(log) < records and time.time() < began + PATIENCE and all(m.poll() is None for m in members):
    time.sleep(0.05)
for m in members:
    m.stdin.close()
codes = []
for m, t in zip(members, threads):
    try:
        codes.append(m.wait(30))
    except subprocess.TimeoutExpired:
        m.kill()
        codes.append("does not end")
    t.join()

if codes != [0, 0]:
    said.seek(0)
    sys.stderr.buffer.write(said.read())
    fail("the members ended with %s" % codes)
if complaint:
    fail(complaint[0])
missing = [(p.partition, o) for p, end in ends.items() for o in range(end) if (p.partition, o) not in log]
if missing or len(log) != records:
    fail("%d records of %d were read; the first that was not: %s" % (len(log), records, missing[:1]))
got, home = collections.defaultdict(list), {}
for (part, _), (key, digest) in sorted(log.items()):
    got[key].append(digest)
    if home.setdefault(key, part) != part:
        fail("key %r is in the partitions %d and %d" % (key, home[key], part))


def checksum(d):
    h = hashlib.sha256()
    for k in sorted(d):
        h.update(k + b"\x01" + "\x02".join(d[k]).encode() + b"\x03")
    return h.hexdigest()[:16]


seconds = max(last - first, 0.001)
print("%s %s: two members read %d + %d records, %.1f MB in %.1f s (%.1f MB/s, %d records/s), %d again after a rebalance; checksums: written %s, read %s"
      % (topic, name, counts[0], counts[1], size / 1e6, seconds, size / 1e6 / seconds, records / seconds, again, checksum(want), checksum(got)))
for k in want:
    if got[k] != want[k]:
        fail("key %r: %d records written, %d read, or another order or other bytes" % (k, len(want[k]), len(got[k])))
if got != want:
    fail("keys that nobody wrote")
if not all(counts):
    fail("one member of the group read nothing")
