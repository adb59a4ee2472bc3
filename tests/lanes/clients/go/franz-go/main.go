// franz-go under the rule of ../../README.md.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ottla/clients/rule"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "raw": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func main() { rule.Main(produce, consume) }

func connect(bootstrap []string, options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(bootstrap...))...)
	rule.Must(err)
	return client
}

func produce(job rule.Job) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(connect(job.Bootstrap))
	_, err := admin.CreateTopic(ctx, rule.Partitions, 3, nil, job.Topic)
	rule.Must(err)
	admin.Close()
	for _, codec := range job.Codecs {
		client := connect(job.Bootstrap, kgo.ProducerBatchCompression(codecs[codec]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerLinger(5*time.Millisecond), kgo.RequiredAcks(kgo.AllISRAcks()))
		for n := range rule.Records {
			r := job.Record(codec, n)
			record := &kgo.Record{Topic: job.Topic, Partition: int32(r.Partition), Timestamp: time.UnixMilli(r.Timestamp), Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
			}
			client.Produce(ctx, record, func(_ *kgo.Record, err error) { rule.Must(err) })
		}
		rule.Must(client.Flush(ctx))
		client.Close()
	}
}

func consume(bootstrap, topics []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(connect(bootstrap))
	ends, err := admin.ListEndOffsets(ctx, topics...)
	rule.Must(err)
	rule.Must(ends.Error())
	admin.Close()
	from := map[string]map[int32]kgo.Offset{}
	digests := map[string]*rule.Digest{}
	var left int64
	ends.Each(func(end kadm.ListedOffset) {
		if from[end.Topic] == nil {
			from[end.Topic] = map[int32]kgo.Offset{}
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(0)
		digests[name(end.Topic, int(end.Partition))] = &rule.Digest{}
		left += end.Offset
	})
	client := connect(bootstrap, kgo.ConsumePartitions(from))
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		rule.Must(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			headers := []rule.Header{}
			for _, h := range r.Headers {
				headers = append(headers, rule.Header{Name: h.Key, Value: h.Value})
			}
			digests[name(r.Topic, int(r.Partition))].Add(r.Offset, r.Timestamp.UnixMilli(), r.Key, r.Value, headers)
			left--
		})
	}
	for _, topic := range topics {
		for p := range rule.Partitions {
			digests[name(topic, p)].Print(topic, p)
		}
	}
}

func name(topic string, partition int) string { return fmt.Sprint(topic, "/", partition) }
