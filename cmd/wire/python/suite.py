"""The cases of kafka-python, old and new: suite.py BOOTSTRAP PREFIX (penstock | kafka)."""
import sys, threading, time, traceback
import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
import kafka.errors as E

addr, prefix, peer = sys.argv[1:4]
old = kafka.__version__.startswith("2.0.")
FIRST = int(time.time()) * 1000 - 1_800_000  # past, but not so far that retention takes it
failed = False


def case(name, run):
    global failed
    start, why = time.time(), ""
    try:
        run()
    except BaseException as e:
        why = repr(e).replace("\n", " ")
        traceback.print_exc()
        failed = True
    print(name, "FAIL" if why else "ok", int((time.time() - start) * 1000), why, flush=True)


def create(topic, parts=1, rf=1, settings=None):
    a = KafkaAdminClient(bootstrap_servers=addr)
    try:
        a.create_topics([NewTopic(topic, parts, rf, topic_configs=settings or {})])
    finally:
        a.close()
    if peer == "kafka":
        time.sleep(1)  # Kafka answers before its brokers know the topic


def sample(n, parts):
    return [(i % parts, b"key-%d" % i, b"value %d \x00\xff\n" % i * (1 + i % 20), b"header-%d" % i, FIRST + 10 * i) for i in range(n)]


def produce(topic, records, codec=None, **more):
    p = KafkaProducer(bootstrap_servers=addr, acks="all", compression_type=codec, linger_ms=5, max_request_size=4 << 20, retries=10, **more)
    sent = [p.send(topic, v, k, [("h", h)], part, ts) for part, k, v, h, ts in records]
    p.flush(20)
    for s in sent:
        s.get(10)
    p.close()


def fetch(topic, part, at, n):
    c = KafkaConsumer(bootstrap_servers=addr, consumer_timeout_ms=15000, auto_offset_reset="none", enable_auto_commit=False)
    c.assign([TopicPartition(topic, part)])
    c.seek(TopicPartition(topic, part), at)
    try:
        out = []
        for r in c:
            out.append(r)
            if len(out) == n:
                break
        return out
    finally:
        c.close()


def check(topic, records, parts):
    for part in range(parts):
        want = [(i, k, v, h, ts) for i, (_, k, v, h, ts) in enumerate(r for r in records if r[0] == part)]
        got = [(r.offset, r.key, r.value, r.headers[0][1], r.timestamp) for r in fetch(topic, part, 0, len(want))]
        assert got == want, "partition %d: %d records of %d, or not the same" % (part, len(got), len(want))


def round_trip(codec=None, **more):
    topic = "%s-%s" % (prefix, "idem" if more else codec)
    create(topic, 3)
    records = sample(300, 3)
    produce(topic, records, codec, **more)
    check(topic, records, 3)


def seek_time():
    topic = prefix + "-seek"
    create(topic)
    produce(topic, sample(100, 1), "gzip")
    c = KafkaConsumer(bootstrap_servers=addr)
    tp = TopicPartition(topic, 0)
    for ms, want in ((0, 0), (FIRST, 0), (FIRST + 1, 1), (FIRST + 500, 50), (FIRST + 985, 99)):
        got = c.offsets_for_times({tp: ms})[tp].offset
        assert got == want, (ms, got, want)
    assert c.offsets_for_times({tp: FIRST + 10**6})[tp] is None
    c.close()


def large():
    create(prefix + "-large")
    records = [(0, b"k", bytes([i, 7, 0]) * 300_000, b"h", FIRST) for i in range(3)]
    produce(prefix + "-large", records)
    check(prefix + "-large", records, 1)
    huge = [(0, b"k", b"\x01\x02\x03" * 1_000_000, b"h", FIRST)]
    create(prefix + "-huge", settings={"max.message.bytes": "8388608"})
    produce(prefix + "-huge", huge)
    check(prefix + "-huge", huge, 1)


def many():
    create(prefix + "-many", 64)
    records = sample(640, 64)
    produce(prefix + "-many", records)
    c = KafkaConsumer(bootstrap_servers=addr, consumer_timeout_ms=15000, auto_offset_reset="earliest")
    c.assign([TopicPartition(prefix + "-many", p) for p in range(64)])
    got = set()
    for r in c:
        got.add((r.partition, r.key))
        if len(got) == 640:
            break
    c.close()
    assert got == {(r[0], r[1]) for r in records}, len(got)


def refused(error, run):
    try:
        run()
    except error:
        return
    raise AssertionError("not refused with " + error.__name__)


def errors():
    create(prefix + "-err")
    refused(E.TopicAlreadyExistsError, lambda: create(prefix + "-err"))
    refused(E.InvalidTopicError, lambda: create("no spaces"))
    refused(E.InvalidReplicationFactorError, lambda: create(prefix + "-rf3", 1, 3))
    refused(E.MessageSizeTooLargeError, lambda: produce(prefix + "-err", [(0, b"k", b"\x01\x09" * 750_000, b"h", FIRST)]))
    refused(E.OffsetOutOfRangeError, lambda: fetch(prefix + "-err", 0, 1 << 40, 1))
    refused(E.InvalidConfigurationError, lambda: create(prefix + "-set", settings={"no.such.setting": "1"}))
    if peer != "kafka":
        refused(E.InvalidConfigurationError, lambda: create(prefix + "-compact", settings={"cleanup.policy": "compact"}))
    # The producer asks for metadata until its time is up, and says only that.
    refused(E.KafkaTimeoutError, lambda: produce(prefix + "-absent", sample(1, 1), max_block_ms=2000))


def transactional():
    p = KafkaProducer(bootstrap_servers=addr, transactional_id=prefix)
    try:
        if peer == "kafka":
            p.init_transactions()
        else:
            refused(E.TransactionalIdAuthorizationFailedError, p.init_transactions)
    finally:
        p.close(1)


def group():
    topic = prefix + "-group"
    create(topic, 4)
    seen, stop = ([], []), [threading.Event(), threading.Event()]

    # A poll of kafka-python 3 that ends while the client joins again because of new topic
    # metadata loses the assignment for good, and the heartbeats with it (2 of 12 runs against
    # Apache Kafka 4.3.1 with polls of 100 ms). So metadata comes first and polls are long:
    # they end as soon as there are records.
    def member(i):
        c = KafkaConsumer(topic, bootstrap_servers=addr, group_id=topic, auto_offset_reset="earliest",
                          heartbeat_interval_ms=300, session_timeout_ms=10000, metadata_max_age_ms=2000)
        c.partitions_for_topic(topic)
        while not stop[i].is_set():
            for rs in c.poll(10000).values():
                seen[i].extend((r.partition, r.value) for r in rs)
        c.close()

    threads = [threading.Thread(target=member, args=(i,), daemon=True) for i in (0, 1)]
    for t in threads:
        t.start()
    end = time.time() + 40
    while not (seen[0] and seen[1]):
        assert time.time() < end, "two members read %d and %d records" % (len(seen[0]), len(seen[1]))
        produce(topic, sample(8, 4))
        time.sleep(0.2)
    stop[1].set()
    produce(topic, sample(8, 4))  # ends the poll that it may be in
    threads[1].join(20)
    produce(topic, [(p, b"k", b"after", b"h", FIRST) for p in range(4)])
    while {p for p, v in seen[0] if v == b"after"} != {0, 1, 2, 3}:
        assert time.time() < end, "after one left, the other did not read all partitions"
        time.sleep(0.05)
    stop[0].set()
    produce(topic, sample(8, 4))
    threads[0].join(20)


case("create", lambda: create(prefix + "-t", 3))
for codec in (None, "gzip", "snappy", "lz4") + (() if old else ("zstd",)):
    case("produce-%s" % (codec or "none"), lambda: round_trip(codec))
if not old:  # 2.0.2 has no idempotent producer
    case("idempotent", lambda: round_trip(None, enable_idempotence=True))
    case("transactional-id", transactional)
for name, run in (("seek-time", seek_time), ("large", large), ("partitions-64", many), ("errors", errors), ("group-rebalance", group)):
    case(name, run)
print("done", flush=True)
sys.exit(1 if failed else 0)
