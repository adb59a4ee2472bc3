// segmentio/kafka-go under the rule of ../../README.md.
package main

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"

	"ottla/clients/rule"
)

var codecs = map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}

func main() { rule.Main(produce, consume) }

func produce(job rule.Job) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(job.Bootstrap...)}
	created, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: job.Topic, NumPartitions: rule.Partitions, ReplicationFactor: 3}}})
	rule.Must(err)
	rule.Must(created.Errors[job.Topic])
	for _, codec := range job.Codecs {
		// The balancer has no place for a partition beside the message, so it is told what the rule says.
		writer := &kafka.Writer{Addr: client.Addr, Topic: job.Topic, RequiredAcks: kafka.RequireAll, Compression: codecs[codec],
			BatchTimeout: 5 * time.Millisecond, BatchSize: 500,
			Balancer: kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return int(m.Time.UnixMilli()-job.Time) % rule.Partitions })}
		var messages []kafka.Message
		for n := range rule.Records {
			r := job.Record(codec, n)
			m := kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp)}
			for _, h := range r.Headers {
				m.Headers = append(m.Headers, kafka.Header{Key: h.Name, Value: h.Value})
			}
			messages = append(messages, m)
		}
		rule.Must(writer.WriteMessages(ctx, messages...))
		rule.Must(writer.Close())
	}
}

func consume(bootstrap, topics []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := &kafka.Client{Addr: kafka.TCP(bootstrap...)}
	for _, topic := range topics {
		asked := []kafka.OffsetRequest{}
		for p := range rule.Partitions {
			asked = append(asked, kafka.LastOffsetOf(p))
		}
		ends, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: asked}})
		rule.Must(err)
		for _, end := range ends.Topics[topic] {
			rule.Must(end.Error)
			digest := &rule.Digest{}
			reader := kafka.NewReader(kafka.ReaderConfig{
				Brokers: bootstrap, Topic: topic, Partition: end.Partition, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond})
			rule.Must(reader.SetOffset(0))
			for digest.Count < end.LastOffset {
				m, err := reader.ReadMessage(ctx)
				rule.Must(err)
				headers := []rule.Header{}
				for _, h := range m.Headers {
					headers = append(headers, rule.Header{Name: h.Key, Value: h.Value})
				}
				digest.Add(m.Offset, m.Time.UnixMilli(), m.Key, m.Value, headers)
			}
			rule.Must(reader.Close())
			digest.Print(topic, end.Partition)
		}
	}
}
