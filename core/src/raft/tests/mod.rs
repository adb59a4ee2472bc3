//! Three engines on a memory disk and a message queue, driven from one seed: small enough to crash between any two steps.
mod bounds;
mod cluster;
mod copying;
mod recalling;
mod sending;
mod snapshots;
mod stories;
