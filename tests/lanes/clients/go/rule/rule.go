// Package rule is the rule of ../../README.md: what each producer writes, and the digest of what a consumer read.
package rule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
)

const (
	Partitions = 3
	Records    = 2000
)

// Header is a name of any bytes and a value that may be nil.
type Header struct {
	Name  string
	Value []byte
}

// Record has nil for null, and something empty that is not nil for empty.
type Record struct {
	Partition  int
	Timestamp  int64
	Key, Value []byte
	Headers    []Header
}

// Job is what a producer is asked for.
type Job struct {
	Bootstrap     []string
	Topic, Client string
	Codecs        []string
	Time          int64
	Without       string
}

// Record number n of a codec.
func (j Job) Record(codec string, n int) Record {
	r := Record{Partition: n % Partitions, Timestamp: j.Time + int64(n)}
	switch n % 4 {
	case 1:
		r.Key = []byte{}
	case 2:
		r.Key = fmt.Appendf(nil, "%s-%d", j.Client, n)
	case 3:
		r.Key = []byte{0, 255, byte(n >> 8), byte(n)}
	}
	switch n % 7 {
	case 0:
		if r.Key == nil && strings.Contains(j.Without, "null-null") {
			r.Value = []byte{}
		}
	case 1:
		r.Value = []byte{}
	case 2:
		r.Value = fmt.Appendf(nil, "%s %s %d", j.Client, codec, n)
	default:
		length := 37 * n % 300
		if n%1000 == 999 {
			length = 100000
		}
		r.Value = make([]byte, length)
		for i := range r.Value {
			r.Value[i] = byte(31*n + i*i + i>>8)
		}
	}
	switch kind := n % 5; {
	case kind == 1:
		r.Headers = []Header{{"client", []byte(j.Client)}}
	case kind == 2 && !strings.Contains(j.Without, "repeated"):
		r.Headers = []Header{{"h", []byte("1")}, {"h", []byte{}}, {"h", []byte("2")}}
	case kind == 3 && !strings.Contains(j.Without, "null-header"):
		r.Headers = []Header{{"null", nil}, {"after", []byte("x")}}
	case kind == 4 && codec == "raw":
		r.Headers = []Header{{"h\xff", []byte{0, 255}}}
	case kind == 4:
		r.Headers = []Header{{"ключ", []byte{0, 255}}}
	}
	return r
}

// Digest is what a consumer prints of one partition.
type Digest struct {
	Count int64
	sha   hash.Hash
}

// Add takes the next record.
func (d *Digest) Add(offset, timestamp int64, key, value []byte, headers []Header) {
	if d.sha == nil {
		d.sha = sha256.New()
	}
	d.Count++
	b := binary.BigEndian.AppendUint64(nil, uint64(offset))
	b = binary.BigEndian.AppendUint64(b, uint64(timestamp))
	b = appendSized(appendSized(b, key), value)
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	for _, h := range headers {
		b = appendSized(appendSized(b, []byte(h.Name)), h.Value)
	}
	d.sha.Write(b)
}

// Print says what was read of a partition.
func (d *Digest) Print(topic string, partition int) {
	fmt.Printf("%s %d %d %x\n", topic, partition, d.Count, d.sha.Sum(nil))
}

func appendSized(to, data []byte) []byte {
	if data == nil {
		return append(to, 255, 255, 255, 255)
	}
	return append(binary.BigEndian.AppendUint32(to, uint32(len(data))), data...)
}

// Main calls what the arguments ask for.
func Main(produce func(Job), consume func(bootstrap, topics []string)) {
	args := os.Args[1:]
	if args[0] == "produce" {
		time, err := strconv.ParseInt(args[5], 10, 64)
		Must(err)
		produce(Job{strings.Split(args[1], ","), args[2], args[3], strings.Split(args[4], ","), time, args[6]})
	} else {
		consume(strings.Split(args[1], ","), args[2:])
	}
}

// Must ends the program on an error.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
