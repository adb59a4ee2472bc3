// kafkajs under the rule of ../README.md. Its Consumer can't do without a group, and groups are not served yet: what reads here are the parts
// below it, which find leaders, fetch, decode and drop what is before the fetched offset.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const Batch = require('kafkajs/src/consumer/batch')
const Cluster = require('kafkajs/src/cluster')
const socketFactory = require('kafkajs/src/network/socketFactory')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')
const { PARTITIONS, RECORDS, Digest, record } = require('./rule')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  // The heap is for frames that don't tell their size.
  decompress: async buffer => Buffer.from(zstd.decompress(buffer, { defaultHeapSize: 16 << 20 })),
})

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

// As kafkajs tells them: a name that is repeated has an array of values.
const pairs = headers =>
  Object.entries(headers).flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map(one => [name, one]))

const consume = async (bootstrap, ...topics) => {
  const cluster = new Cluster({
    logger: new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.ERROR }).logger(),
    socketFactory: socketFactory(),
    brokers: bootstrap.split(','),
    clientId: 'kafkajs',
    connectionTimeout: 1000,
    enforceRequestTimeout: true,
    metadataMaxAge: 300000,
    allowAutoTopicCreation: false,
  })
  await cluster.connect()
  await cluster.addMultipleTargetTopics(topics)
  const partitions = [...Array(PARTITIONS).keys()]
  const ends = await cluster.fetchTopicsOffset(topics.map(topic => ({ topic, partitions: partitions.map(partition => ({ partition })) })))
  for (const topic of topics) {
    const of = ends.find(one => one.topic === topic).partitions
    for (const partition of partitions) {
      const end = BigInt(of.find(one => one.partition === partition).offset)
      console.log((await digest(cluster, topic, partition, end)).line(topic, partition))
    }
  }
  await cluster.disconnect()
}

const digest = async (cluster, topic, partition, end) => {
  const [nodeId] = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))
  const broker = await cluster.findBroker({ nodeId })
  const result = new Digest()
  let next = 0n
  while (next < end) {
    const asked = { partition, fetchOffset: next.toString(), maxBytes: 1 << 20 }
    const { responses } = await broker.fetch({ topics: [{ topic, partitions: [asked] }] })
    const batch = new Batch(topic, asked.fetchOffset, responses[0].partitions[0])
    for (const m of batch.messages) result.add(m.offset, m.timestamp, m.key, m.value, pairs(m.headers))
    if (!batch.isEmptyIncludingFiltered()) next = BigInt(batch.lastOffset()) + 1n
  }
  return result
}

const [what, ...words] = process.argv.slice(2)
const main = async () => {
  await zstd.init()
  await (what === 'produce' ? produce : consume)(...words)
}
main().catch(error => {
  console.error(error)
  process.exit(1)
})
