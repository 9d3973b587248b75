//! The proxy over real sockets on the loopback, in front of replicas whose every byte the test says.

mod admin;
mod configuration;
mod data_path;
mod decisions;
mod far;
mod faults_of_clients;
mod faults_of_replicas;
mod kv_events;
mod queue;
mod regions;
mod signals;
mod support;
mod tls;
#[cfg(feature = "tokenizer")]
mod tokenizer;
