//! One mend of librdkafka that its releases do not have yet. A program that is linked with this crate has it.
//!
//! **What is mended** ([librdkafka 5280](https://github.com/confluentinc/librdkafka/issues/5280), open in 2.15.0): a broker that does not lead a partition
//! may say in its answer to a fetch who does (KIP-951), and says -1 while it does not know. A broker that was just restarted says so of some partitions and
//! names the leader of others. librdkafka makes room for both kinds, fills in only the second, and reads the rest of that room as it finds it: partition
//! numbers that do not exist, leaders that do not exist, writes at places that are not its own. What Sagaline saw of it: after a crash of Kafka
//! a service's client stood still, with no error, until the service was restarted.
//!
//! **How**: `rdkafka-sys` compiles librdkafka; the build script here compiles one file of it, `rdkafka_fetcher.c`, again with the line corrected. It is linked
//! before librdkafka, and whole, so that librdkafka's own is never asked for. It fails if the line is not where it should be; the linker fails if both were taken;
//! `tests/leaders.rs` fails if the mend is not what was linked.
//!
//! **When it can go**: when a release of `rdkafka-sys` has a librdkafka with the mend: delete this folder, and the line in `sagaline-runtime` that names it.

use rdkafka_sys as _;
