"""A member of a group: reader.py BOOTSTRAP GROUP TOPIC. Prints what it reads until its input ends.

A line is: partition, offset, key in base64, length and SHA-256 of the value.
"""
import base64, hashlib, sys, threading
from kafka import KafkaConsumer

addr, group, topic = sys.argv[1:4]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
c = KafkaConsumer(bootstrap_servers=addr, group_id=group, auto_offset_reset="earliest", max_poll_records=5000)
c.partitions_for_topic(topic)  # see the group case of python/suite.py
c.subscribe([topic])
out = sys.stdout
while not ended.is_set():
    # The first poll must outlast the rebalance; later ones end when there are records.
    for rs in c.poll(1000 if c.assignment() else 20000).values():
        for r in rs:
            out.write("%d %d %s %d %s\n" % (r.partition, r.offset, base64.b64encode(r.key).decode(), len(r.value), hashlib.sha256(r.value).hexdigest()))
    out.flush()
c.close()
