// The cases of kafkajs: suite.js BOOTSTRAP PREFIX (penstock | kafka). kafkajs brings gzip;
// the other codecs are packages that plug in as its documentation says.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')
const assert = require('assert')
const [addr, prefix, peer] = process.argv.slice(2)
const codec = (compress, decompress) => () => ({ compress: async (e) => Buffer.from(compress(e.buffer)), decompress: async (b) => Buffer.from(decompress(b)) })
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = codec(lz4.compressFrameSync, lz4.decompressFrameSync)
const kafka = new Kafka({ brokers: [addr], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100, retries: 3 } })
// The wait of a fetch is short because a consumer of kafkajs ends with its last fetch.
const consumer = (groupId) => kafka.consumer({ groupId, heartbeatInterval: 300, sessionTimeout: 10000, maxWaitTimeInMs: 200 })
const first = Date.now() - 1800000 // past, but not so far that retention takes it
const sleep = (ms) => new Promise((r) => setTimeout(r, ms))

async function test(name, run) {
  const start = Date.now()
  let why = ''
  try { await run() } catch (e) { why = String(e).replace(/\n/g, ' '); process.exitCode = 1; console.error(e) }
  console.log(name, why ? 'FAIL' : 'ok', Date.now() - start, why)
}
async function admin(run) {
  const a = kafka.admin()
  await a.connect()
  try { return await run(a) } finally { await a.disconnect() }
}
const create = (topic, numPartitions = 1, replicationFactor = 1, configEntries = []) =>
  admin((a) => a.createTopics({ topics: [{ topic, numPartitions, replicationFactor, configEntries }], waitForLeaders: true }))
    .finally(() => peer === 'kafka' && sleep(2000)) // Kafka answers before its brokers know the topic

const sample = (n, parts) => Array.from({ length: n }, (_, i) => ({
  partition: i % parts, key: `key-${i}`, value: Buffer.from(`value ${i} \u0000\n`.repeat(1 + (i % 20))),
  headers: { h: `header-${i}` }, timestamp: String(first + 10 * i) }))

async function produce(topic, messages, compression = CompressionTypes.None, options = {}) {
  const p = kafka.producer(options)
  await p.connect()
  try { await p.send({ topic, messages, acks: -1, compression }) } finally { await p.disconnect() }
}
async function read(topic, n, group) {
  const c = consumer(group)
  await c.connect()
  const got = []
  try {
    await c.subscribe({ topic, fromBeginning: true })
    await c.run({ eachMessage: async ({ partition, message }) => { got.push({ partition, ...message }) } })
    for (const end = Date.now() + 20000; got.length < n && Date.now() < end;) await sleep(20)
  } finally { await c.disconnect() }
  return got
}
async function roundTrip(topic, messages, parts, compression, options, settings) {
  await create(topic, parts, 1, settings)
  await produce(topic, messages, compression, options)
  const got = await read(topic, messages.length, topic)
  for (let p = 0; p < parts; p++) {
    const line = (m, i) => [i, String(m.key), Buffer.from(m.value).toString('base64'), String(m.headers.h), m.timestamp].join('|')
    assert.deepStrictEqual(got.filter((m) => m.partition === p).map((m) => line(m, Number(m.offset))),
      messages.filter((m) => m.partition === p).map(line))
  }
}
async function seekTime() {
  const topic = prefix + '-seek'
  await create(topic)
  await produce(topic, sample(100, 1), CompressionTypes.GZIP)
  await admin(async (a) => {
    for (const [ms, want] of [[first, 0], [first + 1, 1], [first + 500, 50], [first + 985, 99]]) {
      assert.strictEqual((await a.fetchTopicOffsetsByTimestamp(topic, ms))[0].offset, String(want))
    }
  })
}
// kafkajs goes on by itself after an offset out of range, so there is no error to see.
const type = (e) => e.type || (e.errors && e.errors[0].type) || (e.cause && type(e.cause)) || e.name
const refused = (want, p) => assert.rejects(p, (e) => type(e) === want || assert.fail(`${type(e)}, not ${want}: ${e}`))
async function errors() {
  const topic = prefix + '-err'
  await create(topic)
  assert.strictEqual(await create(topic), false)
  await refused('INVALID_TOPIC_EXCEPTION', create('no spaces'))
  await refused('INVALID_REPLICATION_FACTOR', create(topic + '-rf3', 1, 3))
  await refused('INVALID_CONFIG', create(topic + '-set', 1, 1, [{ name: 'no.such.setting', value: '1' }]))
  if (peer !== 'kafka') await refused('INVALID_CONFIG', create(topic + '-compact', 1, 1, [{ name: 'cleanup.policy', value: 'compact' }]))
  await refused('MESSAGE_TOO_LARGE', produce(topic, [{ value: Buffer.alloc(1500000, 7) }]))
  await refused('UNKNOWN_TOPIC_OR_PARTITION', produce(topic + '-absent', [{ value: 'x' }]))
}
async function transactional() {
  const p = kafka.producer({ transactionalId: prefix, idempotent: true, maxInFlightRequests: 1 })
  await p.connect()
  try {
    const begin = p.transaction()
    // kafkajs replaces whatever FindCoordinator says by this.
    if (peer !== 'kafka') return await refused('KafkaJSGroupCoordinatorNotFound', begin)
    await (await begin).abort()
  } finally { await p.disconnect() }
}
async function group() {
  const topic = prefix + '-group'
  await create(topic, 4)
  const member = async () => {
    const c = consumer(topic)
    const m = { c, seen: [] }
    await c.connect()
    await c.subscribe({ topic, fromBeginning: true })
    await c.run({ eachMessage: async ({ partition, message }) => { m.seen.push([partition, String(message.value)]) } })
    return m
  }
  const [one, two] = await Promise.all([member(), member()])
  const end = Date.now() + 40000
  while (!(one.seen.length && two.seen.length)) {
    assert(Date.now() < end, `two members read ${one.seen.length} and ${two.seen.length} records`)
    await produce(topic, sample(8, 4))
    await sleep(200)
  }
  await two.c.disconnect()
  await produce(topic, [0, 1, 2, 3].map((partition) => ({ partition, value: 'after' })))
  while (new Set(one.seen.filter((s) => s[1] === 'after').map((s) => s[0])).size < 4) {
    assert(Date.now() < end, 'after one left, the other did not read all partitions')
    await sleep(50)
  }
  await one.c.disconnect()
}
(async () => {
  await new Promise((done) => ZstdCodec.run((z) => {
    const zstd = new z.Simple()
    CompressionCodecs[CompressionTypes.ZSTD] = codec((b) => zstd.compress(b), (b) => zstd.decompress(b))
    done()
  }))
  await test('create', () => create(prefix + '-t', 3))
  for (const [name, id] of Object.entries(CompressionTypes)) {
    const low = name.toLowerCase()
    await test('produce-' + low, () => roundTrip(prefix + '-' + low, sample(300, 3), 3, id))
  }
  await test('idempotent', () => roundTrip(prefix + '-idem', sample(300, 3), 3, CompressionTypes.None, { idempotent: true, maxInFlightRequests: 1 }))
  await test('seek-time', seekTime)
  await test('large', async () => {
    const of = (size) => sample(1, 1).map((m) => ({ ...m, value: Buffer.alloc(size, 7) }))
    await roundTrip(prefix + '-large', of(900000), 1)
    await roundTrip(prefix + '-huge', of(3000000), 1, CompressionTypes.None, {}, [{ name: 'max.message.bytes', value: '8388608' }])
  })
  await test('partitions-64', () => roundTrip(prefix + '-many', sample(640, 64), 64))
  await test('errors', errors)
  await test('transactional-id', transactional)
  await test('group-rebalance', group)
  console.log('done')
})()
