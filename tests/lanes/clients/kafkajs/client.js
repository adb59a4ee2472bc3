// kafkajs under the rule of ../README.md, as a producer only: its consumer can't do without a group.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')
const { PARTITIONS, RECORDS, record } = require('./rule')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({ compress: encoder => lz4.compressFrame(encoder.buffer) })
CompressionCodecs[CompressionTypes.ZSTD] = () => ({ compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)) })

const TYPES = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const produce = async (bootstrap, topic, client, codecs, time, without) => {
  const kafka = new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 3 }] })
  await admin.disconnect()
  for (const codec of codecs.split(',')) {
    const producer = kafka.producer()
    await producer.connect()
    for (let first = 0; first < RECORDS; first += 500) {
      const messages = []
      for (let n = first; n < first + 500; n++) messages.push(record(client, codec, n, Number(time), without))
      await producer.send({ topic, acks: -1, compression: TYPES[codec], messages })
    }
    await producer.disconnect()
  }
}

const [what, ...words] = process.argv.slice(2)
const main = async () => {
  await zstd.init()
  if (what !== 'produce') throw new Error(`no ${what} here`)
  await produce(...words)
}
main().catch(error => {
  console.error(error)
  process.exit(1)
})
