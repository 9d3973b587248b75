//! Files to write: plain, gzip or zstd, as their names end. The counterpart of `input`.
//!
//! A file that is there is never written over. Zstd comes as frames of 4 MiB, which every decoder reads one after the
//! other; the level is the fastest one.

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const BUFFER_BYTES: usize = 256 << 10;
/// What becomes a zstd frame of its own.
const FRAME_BYTES: usize = 4 << 20;

/// A new file, compressed as its name says. It is whole only after [`Output::finish`].
pub struct Output(Kind);

enum Kind {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd { file: BufWriter<File>, frame: Vec<u8> },
}

impl Output {
    /// Creates `path`: gzip where the name ends in `.gz`, zstd where it ends in `.zst`, else plain.
    ///
    /// # Errors
    /// Where there is such a file already, or it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, File::create_new(path)?);
        let ends = |end| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(end));
        Ok(Self(if ends("gz") {
            Kind::Gzip(GzEncoder::new(file, Compression::default()))
        } else if ends("zst") {
            Kind::Zstd { file, frame: Vec::with_capacity(FRAME_BYTES) }
        } else {
            Kind::Plain(file)
        }))
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(self) -> io::Result<()> {
        match self.0 {
            Kind::Plain(mut file) => file.flush(),
            Kind::Gzip(encoder) => encoder.finish()?.flush(),
            Kind::Zstd { mut file, frame } => {
                if !frame.is_empty() {
                    file.write_all(&compressed(&frame))?;
                }
                file.flush()
            }
        }
    }
}

/// A frame of zstd.
fn compressed(frame: &[u8]) -> Vec<u8> {
    compress_to_vec(frame, CompressionLevel::Fastest)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(file) => file.write(bytes),
            Kind::Gzip(encoder) => encoder.write(bytes),
            Kind::Zstd { file, frame } => {
                let taken = bytes.len().min(FRAME_BYTES - frame.len());
                frame.extend_from_slice(&bytes[..taken]);
                if frame.len() == FRAME_BYTES {
                    file.write_all(&compressed(frame))?;
                    frame.clear();
                }
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(file) | Kind::Zstd { file, .. } => file.flush(),
            Kind::Gzip(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Lines;

    #[test]
    fn what_is_written_is_read_back_whatever_the_compression() {
        let folder = tempfile::tempdir().unwrap();
        // More than two frames.
        let lines: Vec<String> =
            (0..300_000u64).map(|i| format!("{i} {}", i.wrapping_mul(0x9e37_79b9_7f4a))).collect();
        let text = lines.join("\n") + "\n";
        assert!(text.len() > 2 * FRAME_BYTES - FRAME_BYTES / 2, "{}", text.len());
        for name in ["plain.jsonl", "packed.jsonl.gz", "packed.jsonl.ZST", "empty.zst"] {
            let path = folder.path().join(name);
            let text = if name.starts_with("empty") { "" } else { text.as_str() };
            let mut output = Output::create(&path).unwrap();
            output.write_all(text.as_bytes()).unwrap();
            output.finish().unwrap();
            let mut read = Lines::open(&path).unwrap();
            let mut found = Vec::new();
            while read.advance().unwrap() {
                found.push(String::from_utf8(read.current().to_vec()).unwrap());
            }
            assert!(found.iter().map(String::as_str).eq(text.lines()), "{name}");
            let bytes = std::fs::metadata(&path).unwrap().len();
            assert_eq!(bytes < text.len() as u64, name.starts_with("packed"), "{name}: {bytes}");
            let error = Output::create(&path).map(drop).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
        }
    }
}
