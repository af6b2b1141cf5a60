// A member of a group: reader.js BOOTSTRAP GROUP TOPIC. See reader.py for what it prints.
const { Kafka, logLevel } = require('../node/node_modules/kafkajs')
const { createHash } = require('crypto')
const [addr, groupId, topic] = process.argv.slice(2)
const kafka = new Kafka({ brokers: [addr], logLevel: logLevel.ERROR })

async function main() {
  const c = kafka.consumer({ groupId, maxWaitTimeInMs: 200 })
  await c.connect()
  await c.subscribe({ topic, fromBeginning: true })
  await c.run({
    eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
      let out = ''
      for (const m of batch.messages) {
        out += `${batch.partition} ${m.offset} ${m.key.toString('base64')} ${m.value.length} ${createHash('sha256').update(m.value).digest('hex')}\n`
        resolveOffset(m.offset)
      }
      process.stdout.write(out)
      await heartbeat()
    } })
  process.stdin.resume()
  await new Promise((done) => process.stdin.on('end', done))
  await c.disconnect()
}
main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1) })
