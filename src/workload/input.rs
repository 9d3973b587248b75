//! Lines of a file, plain or compressed: what the file is, its first bytes say, not its name.
//!
//! Gzip with several members and zstd with several frames are read to their end; a cut or damaged file is an error at
//! the line where it shows. Memory is one buffer and the longest line.

use crate::error::{Place, WorkloadError};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A longer line is refused instead of being read into memory.
const LONGEST_LINE_BYTES: u64 = 64 << 20;
const BUFFER_BYTES: usize = 256 << 10;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The decompressed bytes of a file.
///
/// # Errors
/// When the file cannot be opened or its first bytes cannot be read.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, WorkloadError> {
    let cannot = |source| WorkloadError::Open { file: path.to_owned(), source };
    let mut file = File::open(path).map_err(cannot)?;
    let mut first = Vec::with_capacity(4);
    (&mut file).take(4).read_to_end(&mut first).map_err(cannot)?;
    let (is_gzip, is_zstd) = (first.starts_with(&GZIP), first.starts_with(&ZSTD));
    let whole = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(first).chain(file));
    Ok(if is_gzip {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole)))
    } else if is_zstd {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, ZstdFrames::new(whole)))
    } else {
        Box::new(whole)
    })
}

/// The decompressed bytes of a file whose beginning has been looked at: it is read again from there.
pub(crate) struct Peeked {
    first: Vec<u8>,
    taken: usize,
    /// What ended the look, to be told once the beginning has been read.
    error: Option<io::Error>,
    rest: Box<dyn BufRead + Send>,
}

impl Peeked {
    /// Opens a file and reads its first 256 KiB, or all of a smaller one. A fault inside shows when the reader comes to
    /// it, so that it is told with its line.
    ///
    /// # Errors
    /// When the file cannot be opened or its first bytes cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, WorkloadError> {
        let mut rest = open(path)?;
        let mut first = Vec::new();
        let error = (&mut rest).take(BUFFER_BYTES as u64).read_to_end(&mut first).err();
        Ok(Self { first, taken: 0, error, rest })
    }

    /// The beginning, without a byte order mark.
    pub(crate) fn first(&self) -> &[u8] {
        self.first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.first)
    }

    /// What ended the look before the first line did: the file is cut or damaged there, and of no kind.
    pub(crate) fn error_in_first_line(&mut self) -> Option<io::Error> {
        if self.first.contains(&b'\n') { None } else { self.error.take() }
    }

    /// Whether the file ends with the beginning.
    pub(crate) fn is_whole(&self) -> bool {
        self.first.len() < BUFFER_BYTES
    }
}

impl Read for Peeked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Peeked {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken < self.first.len() {
            return Ok(&self.first[self.taken..]);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.fill_buf(),
        }
    }

    fn consume(&mut self, bytes: usize) {
        if self.taken < self.first.len() {
            self.taken += bytes;
        } else {
            self.rest.consume(bytes);
        }
    }
}

/// Longer rows of a table are refused instead of being read into memory: no known table has rows above 200 bytes.
const LONGEST_ROW_BYTES: u64 = 1 << 20;

/// Bytes for a reader of CSV, which by itself would take a row of any length into memory, or all of a file after a quote
/// that nobody closes.
pub(crate) struct Rows {
    bytes: Peeked,
    of_row: u64,
}

impl Rows {
    pub(crate) const fn new(bytes: Peeked) -> Self {
        Self { bytes, of_row: 0 }
    }

    /// Tells that a row begins.
    pub(crate) const fn begin(&mut self) {
        self.of_row = 0;
    }
}

impl Read for Rows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.of_row += read as u64;
        if self.of_row > LONGEST_ROW_BYTES {
            let problem = format!(
                "a row longer than {LONGEST_ROW_BYTES} bytes (a quote that is not closed?), wanted one request a row"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        Ok(read)
    }
}

/// The lines of a file, one at a time in one buffer.
pub struct Lines {
    file: PathBuf,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    line: u64,
    /// The first of the blank lines just read, if any: fine at the end of the file, a fault before it.
    blank: Option<u64>,
}

impl Lines {
    /// Opens a file, plain, gzip or zstd.
    ///
    /// # Errors
    /// When it cannot be opened or its first bytes cannot be read.
    pub fn open(path: &Path) -> Result<Self, WorkloadError> {
        Ok(Self::new(path, open(path)?))
    }

    pub(crate) fn new(path: &Path, reader: Box<dyn BufRead + Send>) -> Self {
        Self { file: path.to_owned(), reader, buffer: Vec::new(), line: 0, blank: None }
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The number of the line that [`Lines::advance`] read last, from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.line
    }

    /// That line, without its end and without a byte order mark.
    #[must_use]
    pub fn current(&self) -> &[u8] {
        let line = self.buffer.as_slice();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.line == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line }
    }

    /// Reads the next line; false at the end. Blank lines are passed over at the end of the file and refused elsewhere.
    ///
    /// # Errors
    /// When the file cannot be read on, a line is too long, or a blank line is followed by another.
    pub fn advance(&mut self) -> Result<bool, WorkloadError> {
        loop {
            self.buffer.clear();
            let mut limited = (&mut self.reader).take(LONGEST_LINE_BYTES);
            let read = limited.read_until(b'\n', &mut self.buffer);
            let place = || Place::new(&self.file, self.line + 1);
            let bytes = read.map_err(|source| WorkloadError::Read { place: place(), source })?;
            if bytes == 0 {
                return Ok(false);
            }
            if bytes as u64 == LONGEST_LINE_BYTES && self.buffer.last() != Some(&b'\n') {
                let got = format!("a line longer than {LONGEST_LINE_BYTES} bytes");
                let wanted = "one request per line".to_owned();
                return Err(WorkloadError::Syntax { place: place(), column: bytes, got, wanted });
            }
            self.line += 1;
            if self.current().iter().all(u8::is_ascii_whitespace) {
                self.blank.get_or_insert(self.line);
                continue;
            }
            return match self.blank {
                None => Ok(true),
                Some(line) => Err(WorkloadError::Syntax {
                    place: Place::new(&self.file, line),
                    column: 1,
                    got: "a blank line".to_owned(),
                    wanted: "one request per line, blank lines only at the end".to_owned(),
                }),
            };
        }
    }
}

/// Decodes zstd frames that stand one after the other; skippable frames are skipped, checksums compared.
struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), in_frame: false }
    }

    /// Begins the next frame; false at the end of the source.
    fn begin_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let wanted = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.source).take(wanted), &mut io::sink())?;
                    if skipped < wanted {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// Compares the frame's checksum, where it has one.
    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(given), Some(found)) if given != found => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "the zstd checksum does not fit"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if !self.begin_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
            let bytes = self.decoder.read(buffer)?;
            if bytes > 0 || buffer.is_empty() {
                return Ok(bytes);
            }
            self.end_frame()?;
        }
    }
}
