//! Every bound in one place: its unit, where it comes from, and what happens when it is reached.

/// Bytes of one client request frame, Kafka's `socket.request.max.bytes`. Larger: the connection is closed.
pub const REQUEST_BYTES_MAX: usize = 104_857_600;
/// Bytes one decompressed record batch may take while it is checked. More: INVALID_RECORD... see record::check.
pub const DECOMPRESSED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes that all record batches of one Produce request together may take decompressed: a request is one frame, so its batches may claim
/// [`DECOMPRESSED_BYTES_MAX`] again and again, and each costs the time of everybody. More: the batch gets INVALID_RECORD.
pub const DECOMPRESSED_BYTES_PER_REQUEST_MAX: usize = 8 * DECOMPRESSED_BYTES_MAX;
/// `compression.zstd.level` above this counts as this: the highest levels take many times as long, with windows of up to 128 MiB, and who else
/// needs a worker waits meanwhile.
pub const COMPRESSION_ZSTD_LEVEL_MAX: i32 = 12;
/// Bytes of entries in one peer append message; raft's `max_size_per_msg`. At least one entry always fits.
pub const PEER_APPEND_BYTES_MAX: usize = 1024 * 1024;
/// Bytes proposed to one group in one round; what does not fit waits for the next round.
pub const ROUND_PROPOSE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one peer frame: an append plus the largest single batch plus headers. Larger: the peer connection is closed.
pub const PEER_FRAME_BYTES_MAX: usize = 2 * REQUEST_BYTES_MAX;
/// Requests of one connection that may be in the core or waiting for their turn to be written. At the bound the shell stops reading
/// from the connection.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 1000;
// What a decoded message may take is bounded where it is read: `ottla_protocol::DECODED_BYTES_MAX`.
/// Bytes of records in one Fetch answer unless `fetch.max.bytes` says otherwise, Kafka's default. What is more is left for the next request.
/// A connection reckons with so many at most: where the setting allows more, such an answer is the only one that is owed.
pub const FETCH_BYTES_MAX: i32 = 57_671_680;
/// Bytes of answer that a connection reckons with for a request whose answer may be much larger than itself, such as Metadata; a Fetch says
/// itself how many it wants.
pub const ANSWER_BYTES_EXPECTED: usize = 1024 * 1024;
/// Settings that one DescribeConfigs answer tells, about 500 bytes each in memory: those of 12,000 topics. A resource may be named again
/// and again, so the request does not bound the answer. More: INVALID_REQUEST for the resources that are left.
pub const DESCRIBED_SETTINGS_MAX: usize = 400_000;
/// Producers that one DescribeProducers answer tells, about 50 bytes each in memory. A partition may be named again and again. More:
/// INVALID_REQUEST for the partitions that do not fit.
pub const DESCRIBED_PRODUCERS_MAX: usize = 200_000;
/// Partitions in all fetch sessions of a broker together. More: no further session is opened, and one that grows beyond it is closed; the
/// consumer sends full requests.
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 1_000_000;
/// Bytes that one read of a look-up by time takes beyond the first batches, those of one row of the index. What is more is read next.
pub const TIME_LOOKUP_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes that all look-ups by time of one ListOffsets request may read and decompress: every partition asked for may cost a batch of
/// [`DECOMPRESSED_BYTES_MAX`], and each costs the time of those who wait for a worker. More: OFFSET_NOT_AVAILABLE (below version 5 LEADER_NOT_AVAILABLE) for
/// the partitions that are left, which clients ask for again.
pub const TIME_LOOKUP_BYTES_PER_REQUEST_MAX: usize = 8 * DECOMPRESSED_BYTES_MAX;
/// Batches below this many bytes are copied out of a large frame, so that they do not keep it in memory.
pub const PINNED_BATCH_BYTES_MIN: usize = 4096;
/// Frames above this many bytes are large in that sense.
pub const PINNED_FRAME_BYTES_MAX: usize = 65_536;
/// Times a broker goes through its groups in one round while handling one event causes another. What is left waits for the next round.
pub const ROUND_PASSES_MAX: usize = 16;
/// Listeners for clients of one broker: every registration and heartbeat names them all. More: the configuration is refused.
pub const LISTENERS_MAX: usize = 16;
/// Partitions, and topics, that [`crate::Broker::metrics`] tells one by one: each makes several lines of every scrape. What is more is counted
/// in the sums only.
pub const METRICS_PARTITIONS_MAX: usize = 5_000;
/// Groups with another leader that [`crate::Broker::take_leader_changes`] names. What is more is counted.
pub const LEADER_CHANGES_MAX: usize = 64;
/// Milliseconds a graceful stop waits for others to take over leaderships.
pub const STOP_MS_MAX: u64 = 5_000;
/// Partitions that one CreateTopics or CreatePartitions may ask for, over all its topics, as in Kafka. More: POLICY_VIOLATION for all of them.
/// And that one AlterPartitionReassignments may name. More: POLICY_VIOLATION for the partitions that are left.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;
/// Producer ids a broker takes from the controller at once, as in Kafka.
pub const PRODUCER_ID_BLOCK: i32 = 1000;
/// Batches remembered of each producer of a partition: as many as idempotent clients have in flight (KIP-98). A repetition of an older one
/// is answered OUT_OF_ORDER_SEQUENCE_NUMBER, as in Kafka.
pub const BATCHES_PER_PRODUCER: usize = 5;
/// Producers remembered of each partition, about 300 bytes each. At the bound those that were silent longest are forgotten, as if they
/// had been silent for `producer.id.expiration.ms`.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 16_384;
/// Bytes that a replica which is made whole by a snapshot asks its leader for at once. What is more is asked for next.
pub const SNAPSHOT_PART_BYTES_MAX: u32 = 1024 * 1024;
/// Partitions that a broker fetches by snapshot at once, each with one part under way, so at most 4 MiB of snapshots are on their way to it
/// or to its disk; the next waits for its turn.
pub const SNAPSHOT_COPIES_MAX: usize = 4;
/// Segments that a log may have to be copied by a snapshot: at Kafka's default of 1 GiB each, 30 TB. A log of more is not copied, and the
/// replica that needs it stays behind until retention made it shorter.
pub const SNAPSHOT_FILES_MAX: usize = 30_000;
/// Milliseconds that a leader keeps the files of a snapshot for a replica that asks for nothing; what retention let go meanwhile is deleted
/// then, and the replica is sent another snapshot when it is heard of.
pub const SNAPSHOT_LEASE_MS: u64 = 5_000;
/// Milliseconds after which a part of a snapshot that did not come is asked for again.
pub const SNAPSHOT_RETRY_MS: u64 = 1_000;
/// Questions or answers of one message between brokers about what forgotten replicas may have promised: at 37 bytes each, 37 KB. What is more
/// goes into the next message of the same frame; a message of more is dropped as damaged.
pub const RECALL_ITEMS_MAX: usize = 1_000;
/// Milliseconds after which a broker that does not know what it promised asks again those that did not tell.
pub const RECALL_RETRY_MS: u64 = 250;
/// Milliseconds after which a replica that has not caught up with what it may have promised asks everybody anew: what it waits for may have been
/// lost with another broker's power, unacknowledged.
pub const RECALL_AGAIN_MS: u64 = 5_000;
/// Milliseconds after its start at which a broker with an empty data folder takes the cluster for a new one although not all others have
/// answered: a majority, itself included, knows nothing, and nobody knows something.
pub const BOOTSTRAP_WAIT_MS: u64 = 5_000;
/// Settings that one resource may have at run time; Kafka knows 340 of a broker. More: INVALID_CONFIG.
pub const CONFIG_KEYS_MAX: usize = 1000;
/// Bytes of a setting's name or value, as many as a string of the older versions may have. More: INVALID_CONFIG.
pub const CONFIG_VALUE_BYTES_MAX: usize = 32_767;
/// Brokers, groups and client metrics subscriptions with settings of their own. More: POLICY_VIOLATION.
pub const CONFIG_RESOURCES_MAX: usize = 10_000;
/// Deleted topics the controller remembers, so that a repeated DeleteTopics finds its own work. The oldest is forgotten.
pub const DELETED_TOPICS_REMEMBERED: usize = 256;
/// Admin requests of one broker's clients that wait for the controller. At the bound a further one is answered REQUEST_TIMED_OUT.
pub const CONTROLLER_REQUESTS_MAX: usize = 10_000;
/// Client requests that wait until a broker that started is registered with the controller. At the bound the connection of a further
/// one is closed; ApiVersions never waits.
pub const HELD_REQUESTS_MAX: usize = 10_000;
/// Milliseconds that a Metadata request waits for the first leader of a partition, from when this broker heard of its creation: a few
/// elections. Then it is answered with LEADER_NOT_AVAILABLE.
pub const FIRST_LEADER_MS_MAX: u64 = 2_000;
/// Bytes of a group's label in folder names; a file name may have 255 and the group's number follows.
pub const GROUP_LABEL_BYTES_MAX: usize = 200;
