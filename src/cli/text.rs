//! Text files that a user hands over: read whole, so never more of them than memory can well hold.

use crate::exit::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Larger files are refused: no profile or table of timings comes near.
const LARGEST_BYTES: u64 = 16 << 20;

/// The text of a file.
///
/// # Errors
/// When it cannot be read, is too large, or is not UTF-8; with the line where that shows.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let file = path.display();
    let cannot = |error: std::io::Error| Failure::input(format!("{file}: cannot be read: {error}"));
    let mut bytes = Vec::new();
    let mut opened = File::open(path).map_err(cannot)?;
    (&mut opened).take(LARGEST_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST_BYTES {
        let problem = format!("{file}: got more than {LARGEST_BYTES} bytes, wanted a smaller file");
        return Err(Failure::input(problem));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        let byte = error.as_bytes()[good.len()];
        Failure::input(format!("{file}:{line}: got the byte 0x{byte:02x}, wanted text in UTF-8"))
    })
}
