//! Requests in the order of their times, in bounded memory: what does not fit is sorted into files beside the trace and
//! merged at the end. Requests of one time keep the order in which they came.
//!
//! A request is kept as numbers, not as a line of the trace: its own block ids once, since prompt and answer share
//! those of the prompt's whole blocks. The files are this program's own, are read once and removed.

use crate::error::ImportError;
use gorgo_types::{BlockChain, BlockId, OriginId, Request, RequestId, Tokens};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of requests kept in memory before they go to a file.
pub(crate) const MEMORY_BYTES: usize = 128 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// Numbers of 64 bits before the block ids.
const HEAD_WORDS: usize = 7;

/// A time since 1970 in nanoseconds, and the order of coming.
type Key = (u64, u64);

/// Takes requests in any order.
pub(crate) struct Sorter {
    /// Files are named after the trace.
    beside: PathBuf,
    block_tokens: u32,
    memory_bytes: usize,
    /// Encoded requests one after the other, and where each begins and ends.
    words: Vec<u64>,
    entries: Vec<(Key, usize, usize)>,
    runs: Vec<RunFile>,
    count: u64,
    first_ns: u64,
}

/// A sorted file, removed when it is no longer needed.
struct RunFile(PathBuf);

impl Drop for RunFile {
    fn drop(&mut self) {
        // A file that cannot be removed stays; there is nobody left to tell.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Sorter {
    pub(crate) fn new(beside: &Path, block_tokens: u32, memory_bytes: usize) -> Self {
        Self {
            beside: beside.to_owned(),
            block_tokens,
            memory_bytes,
            words: Vec::new(),
            entries: Vec::new(),
            runs: Vec::new(),
            count: 0,
            first_ns: u64::MAX,
        }
    }

    /// Requests taken so far.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn push(&mut self, at_ns: u64, request: &Request) -> Result<(), ImportError> {
        let start = self.words.len();
        encode(request, &mut self.words);
        self.entries.push(((at_ns, self.count), start, self.words.len()));
        self.count += 1;
        self.first_ns = self.first_ns.min(at_ns);
        let bytes = self.words.len() * 8 + self.entries.len() * size_of::<(Key, usize, usize)>();
        if bytes >= self.memory_bytes { self.spill() } else { Ok(()) }
    }

    /// Moves what is in memory to a file.
    fn spill(&mut self) -> Result<(), ImportError> {
        self.entries.sort_unstable_by_key(|(key, ..)| *key);
        let mut name = self.beside.clone().into_os_string();
        name.push(format!(".sorting-{}", self.runs.len()));
        let path = PathBuf::from(name);
        let failed = |source| ImportError::Write { file: path.clone(), source };
        let file = File::create_new(&path).map_err(failed)?;
        // From here on it is removed, come what may.
        self.runs.push(RunFile(path.clone()));
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
        for ((at_ns, ordinal), start, end) in self.entries.drain(..) {
            let words = &self.words[start..end];
            let head = [at_ns, ordinal, words.len() as u64];
            for word in head.iter().chain(words) {
                out.write_all(&word.to_le_bytes()).map_err(failed)?;
            }
        }
        self.words.clear();
        out.flush().map_err(failed)
    }

    /// Gives every request to `each` in order, with its time since the first one in nanoseconds.
    pub(crate) fn drain(
        mut self,
        mut each: impl FnMut(u64, &Request) -> Result<(), ImportError>,
    ) -> Result<u64, ImportError> {
        self.entries.sort_unstable_by_key(|(key, ..)| *key);
        let mut readers = Vec::new();
        for run in &self.runs {
            let file = File::open(&run.0)
                .map_err(|source| ImportError::Write { file: run.0.clone(), source })?;
            readers.push(BufReader::with_capacity(BUFFER_BYTES, file));
        }
        let mut next: BinaryHeap<Reverse<(Key, usize)>> = BinaryHeap::new();
        let mut heads: Vec<Vec<u64>> = vec![Vec::new(); readers.len()];
        for (run, reader) in readers.iter_mut().enumerate() {
            next.extend(self.advance(run, reader, &mut heads[run])?.map(|key| Reverse((key, run))));
        }
        let memory = readers.len();
        let mut entries = self.entries.iter();
        let mut in_memory = entries.next();
        next.extend(in_memory.map(|&(key, ..)| Reverse((key, memory))));
        let mut last = 0;
        while let Some(Reverse(((at_ns, _), run))) = next.pop() {
            last = at_ns - self.first_ns;
            if run == memory {
                if let Some(&(_, start, end)) = in_memory {
                    each(last, &decode(&self.words[start..end], self.block_tokens)?)?;
                }
                in_memory = entries.next();
                next.extend(in_memory.map(|&(key, ..)| Reverse((key, memory))));
            } else {
                each(last, &decode(&heads[run], self.block_tokens)?)?;
                let key = self.advance(run, &mut readers[run], &mut heads[run])?;
                next.extend(key.map(|key| Reverse((key, run))));
            }
        }
        Ok(last)
    }

    /// Reads a run's next request; none at its end.
    fn advance(
        &self,
        run: usize,
        reader: &mut BufReader<File>,
        words: &mut Vec<u64>,
    ) -> Result<Option<Key>, ImportError> {
        let failed = |source| ImportError::Write { file: self.runs[run].0.clone(), source };
        let mut word = [0; 8];
        let at_end = io::BufRead::fill_buf(reader).map_err(failed)?.is_empty();
        if at_end {
            return Ok(None);
        }
        let mut read = || -> io::Result<u64> {
            reader.read_exact(&mut word)?;
            Ok(u64::from_le_bytes(word))
        };
        let (at_ns, ordinal, length) =
            (read().map_err(failed)?, read().map_err(failed)?, read().map_err(failed)?);
        words.clear();
        for _ in 0..length {
            words.push(read().map_err(failed)?);
        }
        Ok(Some((at_ns, ordinal)))
    }
}

/// Flags of an encoded request.
const HAS_USER: u64 = 1;
const HAS_SESSION: u64 = 2;
const HAS_SEQUENCE: u64 = 4;

fn encode(request: &Request, words: &mut Vec<u64>) {
    let flag = |set: bool, bit: u64| if set { bit } else { 0 };
    let flags = flag(request.user.is_some(), HAS_USER)
        | flag(request.has_session, HAS_SESSION)
        | flag(request.sequence.is_some(), HAS_SEQUENCE);
    words.extend([
        request.id.session,
        request.user.unwrap_or(0),
        flags,
        u64::from(request.id.turn),
        u64::from(request.origin.0),
        request.prompt.tokens().0,
        request.output_tokens.0,
    ]);
    let ids = |ids: &[BlockId], words: &mut Vec<u64>| words.extend(ids.iter().map(|id| id.0));
    let prompt = &request.prompt;
    match &request.sequence {
        None => ids(prompt.ids(), words),
        Some(sequence) => {
            // The prompt's whole blocks are the sequence's first ones; a partial one is its own.
            ids(&prompt.ids()[prompt.whole_blocks()..], words);
            ids(sequence.ids(), words);
        }
    }
}

fn decode(words: &[u64], block_tokens: u32) -> Result<Request, ImportError> {
    let damaged = |problem: String| ImportError::Write {
        file: PathBuf::from("sorted requests"),
        source: io::Error::new(io::ErrorKind::InvalidData, problem),
    };
    let Some((&[session, user, flags, turn, origin, input, output], ids)) =
        words.split_first_chunk::<HEAD_WORDS>()
    else {
        return Err(damaged(format!("a request of {} numbers", words.len())));
    };
    let small = |word: u64| u32::try_from(word).map_err(|error| damaged(error.to_string()));
    let chain = |ids: Vec<BlockId>, tokens| {
        BlockChain::from_ids(ids, Tokens(tokens), block_tokens)
            .map_err(|error| damaged(error.to_string()))
    };
    let all = |ids: &[u64]| ids.iter().map(|&id| BlockId(id)).collect::<Vec<_>>();
    let (prompt, sequence) = if flags & HAS_SEQUENCE == 0 {
        (chain(all(ids), input)?, None)
    } else {
        let block = u64::from(block_tokens);
        let partial = usize::from(!input.is_multiple_of(block));
        let whole = (input / block) as usize;
        if ids.len() < partial + whole {
            return Err(damaged(format!("{} block ids", ids.len())));
        }
        let (own, sequence) = ids.split_at(partial);
        let prompt = sequence[..whole].iter().chain(own).map(|&id| BlockId(id)).collect();
        (chain(prompt, input)?, Some(chain(all(sequence), input + output)?))
    };
    Ok(Request {
        id: RequestId { session, turn: small(turn)? },
        user: (flags & HAS_USER != 0).then_some(user),
        has_session: flags & HAS_SESSION != 0,
        prompt,
        output_tokens: Tokens(output),
        max_tokens: Tokens(output),
        sequence,
        origin: OriginId(small(origin)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request told from others by its number.
    fn request(number: u64) -> Request {
        let (input, output) = (number % 70 + 1, number % 40 + 1);
        let raw = |tokens: u64| (0..tokens.div_ceil(16)).map(move |block| block + number);
        let chain = |tokens| BlockChain::from_raw_ids(raw(tokens), Tokens(tokens), 16).unwrap();
        Request {
            id: RequestId { session: number, turn: (number % 3) as u32 },
            user: number.is_multiple_of(2).then_some(number * 7),
            has_session: !number.is_multiple_of(5),
            prompt: chain(input),
            output_tokens: Tokens(output),
            max_tokens: Tokens(output),
            sequence: (!number.is_multiple_of(4)).then(|| chain(input + output)),
            origin: OriginId((number % 9) as u32),
        }
    }

    fn sorted(folder: &Path, memory_bytes: usize, times: &[u64]) -> Vec<(u64, Request)> {
        let mut sorter = Sorter::new(&folder.join("trace.jsonl"), 16, memory_bytes);
        for (number, &at) in (0..).zip(times) {
            sorter.push(at, &request(number)).unwrap();
        }
        let mut all = Vec::new();
        let last = sorter
            .drain(|at, request| {
                all.push((at, request.clone()));
                Ok(())
            })
            .unwrap();
        assert_eq!(Some(last), all.last().map(|(at, _)| *at));
        all
    }

    #[test]
    fn requests_come_in_order_whole_and_alike_whatever_the_memory() {
        let folder = tempfile::tempdir().unwrap();
        let times: Vec<u64> = (0..2000u64).map(|i| 1_000_000 + i * 7919 % 500).collect();
        let mut wanted: Vec<(u64, Request)> =
            (0..).zip(&times).map(|(number, &at)| (at - 1_000_000, request(number))).collect();
        wanted.sort_by_key(|(at, _)| *at);
        for memory_bytes in [usize::MAX, 50_000, 900] {
            assert_eq!(sorted(folder.path(), memory_bytes, &times), wanted, "{memory_bytes}");
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 0, "files of the sorting are left");
        }
    }

    #[test]
    fn a_file_in_the_way_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("trace.jsonl.sorting-0");
        std::fs::write(&in_the_way, "mine").unwrap();
        let mut sorter = Sorter::new(&folder.path().join("trace.jsonl"), 16, 1);
        let error = sorter.push(0, &request(1)).unwrap_err().to_string();
        drop(sorter);
        assert!(error.contains("sorting-0"), "{error}");
        assert_eq!(std::fs::read_to_string(in_the_way).unwrap(), "mine");
    }
}
