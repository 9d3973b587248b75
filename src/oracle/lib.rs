//! A second replica engine, slow and obvious, that the fast one is held against. Development only.
//!
//! It follows `src/model/README.md` line by line: one iteration per loop, every sum added up anew, a cache of single
//! tokens, plain scans. From `gorgo-model` it takes the words (configuration, requests, events, femtoseconds) and
//! the cost profile, no engine and no cache. Read [`engine`] next, then [`trie`]; `cases` draws what both engines are
//! run on, `script` says what a run is and what came of it.

pub mod cases;
pub mod coverage;
pub mod engine;
pub mod fast;
pub mod script;
pub mod shrink;
pub mod trie;
