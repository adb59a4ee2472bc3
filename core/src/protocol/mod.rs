//! Kafka's wire protocol: bounded zero-copy codec runtime and the messages generated from `core/protocol/`.
