//! Columns of a parquet file, a few at a time: values with the row and list element that they belong to.
//!
//! Only the columns that are asked for are read, a page at a time, so that memory does not grow with the file. What
//! the columns mean is in `wildchat`.
//!
//! The decoder panics on some damaged files instead of returning an error. Every call of it goes through [`guarded`],
//! which makes an error of that.

use crate::error::{ImportError, RowPlace};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArrayType, DataType, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescPtr;
use std::cell::Cell;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;

thread_local! {
    /// Whether this thread is in the decoder, whose panics are not to be printed.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Calls the decoder; a panic is an error like any other. What it worked on must not be used again then.
fn guarded<R>(decode: impl FnOnce() -> parquet::errors::Result<R>) -> Result<R, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !DECODING.get() {
                usual(info);
            }
        }));
    });
    DECODING.set(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(false);
    match result {
        Ok(decoded) => decoded.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("the decoder gave up: {}", text.unwrap_or("no reason given")))
        }
    }
}

/// Opens a parquet file and reads its footer.
pub(crate) fn open(path: &Path) -> Result<SerializedFileReader<File>, ImportError> {
    let cannot = |source| ImportError::Open { file: path.to_owned(), source };
    let mut file = File::open(path).map_err(cannot)?;
    let mut first = [0; 24];
    let mut seen = 0;
    while seen < first.len() {
        match std::io::Read::read(&mut file, &mut first[seen..]).map_err(cannot)? {
            0 => break,
            bytes => seen += bytes,
        }
    }
    let first = &first[..seen];
    let not = |problem: String| ImportError::NotParquet { file: path.to_owned(), problem };
    if !first.starts_with(b"PAR1") {
        let hint = if first.starts_with(b"version https://git-lfs") {
            ": a pointer of git-lfs, not the file it stands for"
        } else {
            ""
        };
        let got = String::from_utf8_lossy(first).escape_debug().to_string();
        return Err(not(format!("got a file that begins with `{got}`{hint}, wanted `PAR1`")));
    }
    guarded(|| SerializedFileReader::new(file)).map_err(|error| {
        not(format!("{error}: cut off or damaged? wanted a whole file, which ends with `PAR1`"))
    })
}

/// What a column must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// Whole numbers.
    Whole,
    /// Times.
    Time,
}

impl Kind {
    const fn wanted(self) -> &'static str {
        match self {
            Self::Text => "text (BYTE_ARRAY)",
            Self::Whole => "whole numbers (INT64)",
            Self::Time => "times (INT64 TIMESTAMP in ms, us or ns)",
        }
    }
}

/// A column of a file: where it stands and how its times count.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) path: String,
    index: usize,
    max_def: i16,
    /// From this definition level on there is a list element. 0 where the column is in no list.
    in_list_from: i16,
    pub(crate) is_list: bool,
    pub(crate) is_time: bool,
    /// Units in a microsecond, or microseconds in a unit.
    scale: Scale,
}

#[derive(Clone, Copy, Debug)]
enum Scale {
    Times(i64),
    Over(i64),
}

/// Finds a column by its path: `name`, or `list` and the `name` of a field of its elements. None where it is not there.
pub(crate) fn find(
    file: &Path,
    reader: &SerializedFileReader<File>,
    list: Option<&str>,
    name: &str,
    kind: Kind,
) -> Result<Option<Column>, ImportError> {
    let schema = reader.metadata().file_metadata().schema_descr();
    let is_it = |column: &ColumnDescPtr| {
        let parts = column.path().parts();
        let [first, between @ .., last] = parts else { return list.is_none() && parts == [name] };
        match list {
            // The two levels between have different names with different writers; a struct of its own has more.
            Some(list) => first == list && last == name && between.len() == 2,
            None => parts == [name],
        }
    };
    let Some(index) = schema.columns().iter().position(is_it) else { return Ok(None) };
    let column = schema.column(index);
    let path = column.path().string();
    let wrong = |got: String, wanted: &str| ImportError::Column {
        file: file.to_owned(),
        column: path.clone(),
        got,
        wanted: wanted.to_owned(),
    };
    let is_list = list.is_some();
    if column.max_rep_level() != i16::from(is_list) {
        let got = format!("a column of {} nested lists", column.max_rep_level());
        return Err(wrong(got, if is_list { "one list of structs" } else { "no list" }));
    }
    let scale = scale(&column);
    let fits = match kind {
        Kind::Text => column.physical_type() == Physical::BYTE_ARRAY,
        Kind::Whole => column.physical_type() == Physical::INT64 && scale.is_none(),
        Kind::Time => column.physical_type() == Physical::INT64 && scale.is_some(),
    };
    if !fits {
        let meaning = match column.logical_type_ref() {
            Some(logical) => format!(" ({logical:?})"),
            None => String::new(),
        };
        return Err(wrong(format!("{}{meaning}", column.physical_type()), kind.wanted()));
    }
    Ok(Some(Column {
        index,
        max_def: column.max_def_level(),
        in_list_from: if is_list { column.repeated_ancestor_def_level() } else { 0 },
        is_list,
        is_time: kind == Kind::Time,
        scale: scale.unwrap_or(Scale::Times(1)),
        path,
    }))
}

/// How a column of times counts.
fn scale(column: &ColumnDescPtr) -> Option<Scale> {
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Timestamp(time)), _) => Some(match time.unit {
            TimeUnit::MILLIS => Scale::Times(1_000),
            TimeUnit::MICROS => Scale::Times(1),
            TimeUnit::NANOS => Scale::Over(1_000),
        }),
        (None, ConvertedType::TIMESTAMP_MILLIS) => Some(Scale::Times(1_000)),
        (None, ConvertedType::TIMESTAMP_MICROS) => Some(Scale::Times(1)),
        _ => None,
    }
}

impl Column {
    /// A time of this column in microseconds since 1970; none beyond 64 bits.
    pub(crate) fn microseconds(&self, value: i64) -> Option<i64> {
        match self.scale {
            Scale::Times(times) => value.checked_mul(times),
            Scale::Over(over) => Some(value.div_euclid(over)),
        }
    }
}

/// The values of one column in one row group.
pub(crate) struct Values<T: DataType> {
    pub(crate) column: Column,
    reader: ColumnReaderImpl<T>,
    defs: Vec<i16>,
    reps: Vec<i16>,
    values: Vec<T::T>,
    file: PathBuf,
    row_group: usize,
    /// The file's row at which the next load begins.
    row: u64,
}

/// Texts and numbers.
pub(crate) type Texts = Values<ByteArrayType>;
/// Whole numbers and times.
pub(crate) type Numbers = Values<Int64Type>;

impl<T: DataType> Values<T> {
    /// Begins to read a column of a row group whose first row is `row`.
    pub(crate) fn begin(
        file: &Path,
        reader: &SerializedFileReader<File>,
        row_group: usize,
        row: u64,
        column: &Column,
    ) -> Result<Self, ImportError> {
        let failed = |problem: String| ImportError::Damaged {
            place: RowPlace { file: file.to_owned(), row, row_group },
            column: column.path.clone(),
            problem,
        };
        let pages: ColumnReader = guarded(|| {
            reader.get_row_group(row_group).and_then(|group| group.get_column_reader(column.index))
        })
        .map_err(failed)?;
        let typed = T::get_column_reader(pages).ok_or_else(|| failed("another type".to_owned()))?;
        Ok(Self {
            column: column.clone(),
            reader: typed,
            defs: Vec::new(),
            reps: Vec::new(),
            values: Vec::new(),
            file: file.to_owned(),
            row_group,
            row,
        })
    }

    /// An error of the rows that were loaded last, or of those that should have been.
    pub(crate) fn damaged(&self, problem: impl Into<String>) -> ImportError {
        ImportError::Damaged {
            place: RowPlace { file: self.file.clone(), row: self.row, row_group: self.row_group },
            column: self.column.path.clone(),
            problem: problem.into(),
        }
    }

    /// Loads exactly `rows` more rows.
    pub(crate) fn load(&mut self, rows: usize) -> Result<(), ImportError> {
        self.defs.clear();
        self.reps.clear();
        self.values.clear();
        let mut loaded = 0;
        // A call may stop at the end of a page.
        while loaded < rows {
            let Self { reader, defs, reps, values, .. } = self;
            let read =
                guarded(|| reader.read_records(rows - loaded, Some(defs), Some(reps), values));
            let (records, ..) = read.map_err(|problem| self.damaged(problem))?;
            if records == 0 {
                return Err(self.damaged("the column ends before its row group"));
            }
            loaded += records;
        }
        Ok(())
    }

    /// Shows each value of the loaded rows: row, list element, value (none where it is null). Rows without list
    /// elements are not shown.
    pub(crate) fn each(
        &self,
        rows: usize,
        mut show: impl FnMut(usize, usize, Option<&T::T>) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let levels = if self.column.max_def > 0 { self.defs.len() } else { self.values.len() };
        let mut values = self.values.iter();
        let (mut begun, mut element) = (0, 0);
        for level in 0..levels {
            if !self.column.is_list || self.reps.get(level) == Some(&0) {
                begun += 1;
                element = 0;
            }
            let def = self.defs.get(level).copied().unwrap_or(self.column.max_def);
            let value = if def == self.column.max_def { values.next() } else { None };
            if def < self.column.in_list_from {
                continue;
            }
            if begun == 0 || begun > rows {
                return Err(self.damaged("more rows than were asked for"));
            }
            show(begun - 1, element, value)?;
            element += 1;
        }
        if begun == rows { Ok(()) } else { Err(self.damaged("fewer rows than were asked for")) }
    }

    /// The rows that were loaded have been used.
    pub(crate) fn used(&mut self, rows: usize) {
        self.row += rows as u64;
    }
}
