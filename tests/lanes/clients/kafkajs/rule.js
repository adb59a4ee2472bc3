// The rule of ../README.md: what a producer writes, and the digest of what a consumer read.
const { createHash } = require('crypto')

exports.PARTITIONS = 3
exports.RECORDS = 2000

exports.record = (client, codec, n, time, without) => {
  const key = [null, Buffer.alloc(0), Buffer.from(`${client}-${n}`), Buffer.from([0, 255, (n >> 8) & 255, n & 255])][n % 4]
  return {
    partition: n % exports.PARTITIONS,
    timestamp: String(time + n),
    key,
    value: value(client, codec, n, key, without),
    headers: headers(client, n, without),
  }
}

const value = (client, codec, n, key, without) => {
  if (n % 7 === 0) return key === null && without.includes('null-null') ? Buffer.alloc(0) : null
  if (n % 7 === 1) return Buffer.alloc(0)
  if (n % 7 === 2) return Buffer.from(`${client} ${codec} ${n}`)
  const bytes = Buffer.alloc(n % 1000 === 999 ? 100000 : (37 * n) % 300)
  for (let i = 0; i < bytes.length; i++) bytes[i] = (31 * n + i * i + (i >> 8)) % 256
  return bytes
}

// As kafkajs takes them: a name that is repeated has an array of values.
const headers = (client, n, without) => {
  if (n % 5 === 1) return { client }
  if (n % 5 === 2 && !without.includes('repeated')) return { h: ['1', '', '2'] }
  if (n % 5 === 3 && !without.includes('null-header')) return { null: null, after: 'x' }
  if (n % 5 === 4) return { ключ: Buffer.from([0, 255]) }
  return {}
}

const NULL = Buffer.from([255, 255, 255, 255])
const int32 = number => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(number)
  return bytes
}
const int64 = number => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(number))
  return bytes
}
const sized = data => (data === null ? NULL : Buffer.concat([int32(data.length), data]))

// What a consumer prints of one partition.
exports.Digest = class {
  constructor() {
    this.sha = createHash('sha256')
    this.count = 0
  }

  // `headers`: an array of [name, value].
  add(offset, timestamp, key, value, headers) {
    this.count++
    const parts = [int64(offset), int64(timestamp), sized(key), sized(value), int32(headers.length)]
    for (const [name, value] of headers) parts.push(sized(Buffer.from(name)), sized(value))
    this.sha.update(Buffer.concat(parts))
  }

  line(topic, partition) {
    return `${topic} ${partition} ${this.count} ${this.sha.digest('hex')}`
  }
}
