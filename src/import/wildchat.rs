//! WildChat as it is downloaded: parquet shards of `allenai/WildChat-1M` and `allenai/WildChat-4.8M`.
//!
//! A row is a conversation: `conversation_hash`, `timestamp`, `country`, `state`, `hashed_ip` and the list of structs
//! `conversation` (`role`, `content`, `timestamp`, `country`, `state`, `hashed_ip`, `turn_identifier`, and in 4.8M
//! `created`). By the data sets' cards, an answer's `timestamp` is when it had been received in full, the row's that
//! of its last turn, and `conversation_hash` is of the content, so that two conversations may share it:
//! `turn_identifier` tells them apart. `created` is not on the cards; it comes with other fields of OpenAI's API
//! (`openai_id`, `usage`, ...), where it is the second in which the answer began, and is used as that. Times without
//! a zone (4.8M) are taken as UTC, as those with one (1M) are.
//!
//! What becomes of a conversation is in `conversation` and `writer`.

use crate::columns::{Column, Kind, Numbers, Texts, Values, find, open};
use crate::conversation::{Conversation, Location, Message};
use crate::error::{ImportError, RowPlace};
use crate::tally::Imported;
use crate::writer::{ImportOptions, Importer, Progress};
use gorgo_text::Role;
use parquet::data_type::{ByteArray, DataType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 64;
/// 2200-01-01 in microseconds since 1970: a later time is no time of a conversation.
const LATEST_US: i64 = 7_258_118_400_000_000;

/// Imports shards, in the order given, into a trace at `out`.
///
/// # Errors
/// Where a shard or an option cannot be used, nothing is left to write, or the trace cannot be written.
pub fn import_wildchat(
    shards: &[PathBuf],
    out: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, ImportError> {
    let mut importer = Importer::new(options, out)?;
    // Every shard is looked at before the first one is read: a wrong one is told of at once.
    let mut of = 0;
    for path in shards {
        of += Shard::open(path)?.rows;
    }
    for path in shards {
        let shard = Shard::open(path)?;
        shard.read(&mut importer, &mut |importer| {
            progress(Progress::Reading {
                done: importer.so_far().conversations,
                of: Some(options.limit.map_or(of, |limit| limit.min(of))),
                text_bytes: importer.so_far().text_bytes,
            });
        })?;
    }
    let files: Vec<&Path> = shards.iter().map(PathBuf::as_path).collect();
    importer.finish(&files, progress)
}

/// A parquet file with WildChat's columns.
struct Shard {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    rows: u64,
    columns: Columns<Column, Column>,
}

/// One thing for each column; `T` for those of text, `N` for those of numbers.
struct Columns<T, N> {
    hash: T,
    ended: N,
    country: Option<T>,
    state: Option<T>,
    user: Option<T>,
    role: T,
    content: T,
    message_ended: Option<N>,
    created: Option<N>,
    message_country: Option<T>,
    message_state: Option<T>,
    message_user: Option<T>,
    identifier: Option<N>,
}

const LIST: &str = "conversation";

impl Shard {
    fn open(path: &Path) -> Result<Self, ImportError> {
        let reader = open(path)?;
        let may = |list: Option<&str>, name: &str, kind| find(path, &reader, list, name, kind);
        let must = |list: Option<&str>, name: &str, kind| {
            may(list, name, kind)?.ok_or_else(|| {
                let schema = reader.metadata().file_metadata().schema_descr();
                let mut names: Vec<String> =
                    schema.columns().iter().map(|column| column.path().string()).collect();
                names.truncate(20);
                ImportError::Column {
                    file: path.to_owned(),
                    column: list.map_or_else(|| name.to_owned(), |list| format!("{list}.{name}")),
                    got: format!("none such among {}", names.join(", ")),
                    wanted: "the columns of allenai/WildChat-1M or allenai/WildChat-4.8M"
                        .to_owned(),
                }
            })
        };
        let columns = Columns {
            hash: must(None, "conversation_hash", Kind::Text)?,
            ended: must(None, "timestamp", Kind::Time)?,
            country: may(None, "country", Kind::Text)?,
            state: may(None, "state", Kind::Text)?,
            user: may(None, "hashed_ip", Kind::Text)?,
            role: must(Some(LIST), "role", Kind::Text)?,
            content: must(Some(LIST), "content", Kind::Text)?,
            message_ended: may(Some(LIST), "timestamp", Kind::Time)?,
            created: may(Some(LIST), "created", Kind::Whole)?,
            message_country: may(Some(LIST), "country", Kind::Text)?,
            message_state: may(Some(LIST), "state", Kind::Text)?,
            message_user: may(Some(LIST), "hashed_ip", Kind::Text)?,
            identifier: may(Some(LIST), "turn_identifier", Kind::Whole)?,
        };
        let mut rows = 0;
        for (index, group) in reader.metadata().row_groups().iter().enumerate() {
            rows += u64::try_from(group.num_rows()).map_err(|_| ImportError::NotParquet {
                file: path.to_owned(),
                problem: format!("got {} rows in row group {index}", group.num_rows()),
            })?;
        }
        Ok(Self { path: path.to_owned(), reader, rows, columns })
    }

    /// Reads every conversation.
    fn read(
        &self,
        importer: &mut Importer<'_>,
        progress: &mut dyn FnMut(&Importer<'_>),
    ) -> Result<(), ImportError> {
        let mut batch = vec![Conversation::default(); BATCH_ROWS];
        let mut row = 0;
        for (row_group, group) in self.reader.metadata().row_groups().iter().enumerate() {
            let mut left = u64::try_from(group.num_rows()).unwrap_or(0);
            let mut columns = self.begin(row_group, row)?;
            while left > 0 {
                let rows = left.min(BATCH_ROWS as u64) as usize;
                let batch = &mut batch[..rows];
                let place = |index: usize| RowPlace {
                    file: self.path.clone(),
                    row: row + index as u64,
                    row_group,
                };
                columns.load(batch, &place)?;
                for (index, conversation) in batch.iter().enumerate() {
                    if importer.is_full() {
                        return Ok(());
                    }
                    importer.conversation(conversation, &place(index))?;
                }
                (row, left) = (row + rows as u64, left - rows as u64);
                progress(importer);
            }
        }
        Ok(())
    }

    /// Begins to read the columns of a row group.
    fn begin(&self, row_group: usize, row: u64) -> Result<Columns<Texts, Numbers>, ImportError> {
        fn values<T: DataType>(
            shard: &Shard,
            row_group: usize,
            row: u64,
            column: &Column,
        ) -> Result<Values<T>, ImportError> {
            Values::begin(&shard.path, &shard.reader, row_group, row, column)
        }
        let texts = |column: &Column| values(self, row_group, row, column);
        let numbers = |column: &Column| values(self, row_group, row, column);
        let c = &self.columns;
        Ok(Columns {
            hash: texts(&c.hash)?,
            ended: numbers(&c.ended)?,
            country: c.country.as_ref().map(texts).transpose()?,
            state: c.state.as_ref().map(texts).transpose()?,
            user: c.user.as_ref().map(texts).transpose()?,
            role: texts(&c.role)?,
            content: texts(&c.content)?,
            message_ended: c.message_ended.as_ref().map(numbers).transpose()?,
            created: c.created.as_ref().map(numbers).transpose()?,
            message_country: c.message_country.as_ref().map(texts).transpose()?,
            message_state: c.message_state.as_ref().map(texts).transpose()?,
            message_user: c.message_user.as_ref().map(texts).transpose()?,
            identifier: c.identifier.as_ref().map(numbers).transpose()?,
        })
    }
}

/// The conversations being filled, and where each stands.
struct Batch<'a> {
    all: &'a mut [Conversation],
    place: &'a dyn Fn(usize) -> RowPlace,
}

impl Columns<Texts, Numbers> {
    /// Loads as many rows as there are conversations to fill.
    fn load(
        &mut self,
        all: &mut [Conversation],
        place: &dyn Fn(usize) -> RowPlace,
    ) -> Result<(), ImportError> {
        all.iter_mut().for_each(Conversation::clear);
        let batch = &mut Batch { all, place };
        batch.roles(&mut self.role)?;
        batch.texts(&mut self.content, |all, element, text| {
            let start = all.text.len();
            all.text.push_str(text.unwrap_or_default());
            all.messages[element].text = text.map(|_| start..all.text.len());
        })?;
        if let Some(ended) = &mut self.message_ended {
            batch.numbers(ended, |all, element, us| all.messages[element].ended_us = us)?;
        }
        if let Some(created) = &mut self.created {
            batch.numbers(created, |all, element, s| all.messages[element].created_s = s)?;
        }
        if let Some(identifier) = &mut self.identifier {
            batch.numbers(identifier, |all, element, id| all.messages[element].identifier = id)?;
        }
        if let Some(country) = &mut self.message_country {
            batch.texts(country, |all, element, text| {
                all.messages[element].location.country = name(text);
            })?;
        }
        if let Some(state) = &mut self.message_state {
            batch.texts(state, |all, element, text| {
                all.messages[element].location.state = name(text);
            })?;
        }
        if let Some(user) = &mut self.message_user {
            batch.texts(user, |all, element, text| all.messages[element].user = user_of(text))?;
        }
        batch.numbers(&mut self.ended, |all, _, us| all.ended_us = us)?;
        if let Some(country) = &mut self.country {
            batch.texts(country, |all, _, text| all.location.country = name(text))?;
        }
        if let Some(state) = &mut self.state {
            batch.texts(state, |all, _, text| all.location.state = name(text))?;
        }
        if let Some(user) = &mut self.user {
            batch.texts(user, |all, _, text| all.user = user_of(text))?;
        }
        // What tells a conversation from all others: its content's hash, and its first message's identifier.
        batch.texts(&mut self.hash, |all, _, text| {
            let mut bytes = text.unwrap_or_default().as_bytes().to_vec();
            let identifier = all.messages.first().and_then(|message| message.identifier);
            bytes.extend(identifier.into_iter().flat_map(i64::to_le_bytes));
            all.session = xxh3_64(&bytes);
        })
    }
}

impl Batch<'_> {
    /// Loads the roles: there is one in every message, so that they make the messages.
    fn roles(&mut self, values: &mut Texts) -> Result<(), ImportError> {
        let rows = self.all.len();
        values.load(rows)?;
        values.each(rows, |row, element, value| {
            let name = value.map(|bytes| String::from_utf8_lossy(bytes.data()));
            let role = name.as_deref().and_then(Role::of).ok_or_else(|| {
                let got = name.map_or_else(|| "null".to_owned(), |name| quoted(&name));
                let wanted = "`user`, `assistant` or `system`";
                self.refuse(values, row, element, got, wanted)
            })?;
            self.all[row].messages.push(Message {
                role,
                text: None,
                ended_us: None,
                created_s: None,
                location: Location::default(),
                user: None,
                identifier: None,
            });
            Ok(())
        })?;
        values.used(rows);
        Ok(())
    }

    /// Loads a column of text: `set` gets the conversation, the message's index (0 outside the list) and the text.
    fn texts(
        &mut self,
        values: &mut Texts,
        mut set: impl FnMut(&mut Conversation, usize, Option<&str>),
    ) -> Result<(), ImportError> {
        self.load(values, |batch, values, row, element, value: Option<&ByteArray>| {
            let text = value.map(|bytes| std::str::from_utf8(bytes.data())).transpose();
            let text = text.map_err(|error| {
                let bytes = value.map(ByteArray::data).unwrap_or_default();
                let from = error.valid_up_to();
                let some = &bytes[from..bytes.len().min(from + 8)];
                let got = format!("the bytes {some:02x?} at byte {from}");
                batch.refuse(values, row, element, got, "text in UTF-8")
            })?;
            set(&mut batch.all[row], element, text);
            Ok(())
        })
    }

    /// Loads a column of numbers, times as microseconds since 1970.
    fn numbers(
        &mut self,
        values: &mut Numbers,
        mut set: impl FnMut(&mut Conversation, usize, Option<i64>),
    ) -> Result<(), ImportError> {
        self.load(values, |batch, values, row, element, value: Option<&i64>| {
            let number = match value {
                Some(&value) if values.column.is_time => {
                    let us = values.column.microseconds(value);
                    let us = us.filter(|us| (0..LATEST_US).contains(us));
                    let wanted = "a time from 1970 to 2199";
                    Some(us.ok_or_else(|| {
                        batch.refuse(values, row, element, value.to_string(), wanted)
                    })?)
                }
                value => value.copied(),
            };
            set(&mut batch.all[row], element, number);
            Ok(())
        })
    }

    fn load<T: DataType>(
        &mut self,
        values: &mut Values<T>,
        mut show: impl FnMut(
            &mut Self,
            &Values<T>,
            usize,
            usize,
            Option<&T::T>,
        ) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let rows = self.all.len();
        let uneven = "the columns of one list have different numbers of elements";
        values.load(rows)?;
        let mut elements = vec![0; rows];
        values.each(rows, |row, element, value| {
            if values.column.is_list && element >= self.all[row].messages.len() {
                return Err(values.damaged(uneven));
            }
            elements[row] = element + 1;
            show(self, values, row, element, value)
        })?;
        let is_even = self.all.iter().zip(elements).all(|(all, n)| all.messages.len() == n);
        if values.column.is_list && !is_even {
            return Err(values.damaged(uneven));
        }
        values.used(rows);
        Ok(())
    }

    /// An error of one value.
    fn refuse<T: DataType>(
        &self,
        values: &Values<T>,
        row: usize,
        element: usize,
        got: String,
        wanted: &str,
    ) -> ImportError {
        let path = &values.column.path;
        let field = match (values.column.is_list, path.rsplit_once('.')) {
            (true, Some((_, name))) => format!("{LIST}[{element}].{name}"),
            _ => path.clone(),
        };
        let place = (self.place)(row).to_string();
        ImportError::Row { place, field, got, wanted: wanted.to_owned() }
    }
}

/// A place's name; none where it is empty.
fn name(text: Option<&str>) -> Option<String> {
    text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A user, as the reader of traces would number this name.
fn user_of(text: Option<&str>) -> Option<u64> {
    text.filter(|text| !text.is_empty()).map(|text| xxh3_64(text.as_bytes()))
}

/// A value for a message.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    format!("`{}`", short.escape_debug())
}
