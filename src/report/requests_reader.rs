//! Reads `requests.csv` back, strictly: every column must be there, and every row must obey the laws of a record.

use crate::ReportError;
use crate::bytes::{parse_integer, parse_ms};
use crate::requests::{REQUEST_COLUMNS, SLIP_COLUMN};
use csv::ByteRecord;
use gorgo_metrics::{FleetNames, Invalid, RequestRecord, Status, TtftParts};
use gorgo_types::{Nanos, OriginId, RegionId, ReplicaId, RequestId};
use std::collections::BTreeMap;
use std::io::Read;

/// The position of a column.
const fn column(name: &str) -> usize {
    let mut index = 0;
    while !same(REQUEST_COLUMNS[index].as_bytes(), name.as_bytes()) {
        index += 1;
    }
    index
}

/// Equality of texts at compile time.
const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

const SESSION: usize = column("session");
const TURN: usize = column("turn");
const ORIGIN: usize = column("origin");
const ROUTER_REGION: usize = column("router_region");
const REGION: usize = column("region");
const REPLICA: usize = column("replica");
const SCORE: usize = column("score");
const INPUT_TOKENS: usize = column("input_tokens");
const OUTPUT_TOKENS: usize = column("output_tokens");
const PREDICTED_CACHED_TOKENS: usize = column("predicted_cached_tokens");
const CACHED_TOKENS: usize = column("cached_tokens");
const SCHEDULED_MS: usize = column("scheduled_ms");
const SENT_MS: usize = column("sent_ms");
const FIRST_TOKEN_MS: usize = column("first_token_ms");
const FINISHED_MS: usize = column("finished_ms");
const CLIENT_QUEUE_MS: usize = column("client_queue_ms");
const TTFT_MS: usize = column("ttft_ms");
const TTFT_FROM_SEND_MS: usize = column("ttft_from_send_ms");
const E2E_MS: usize = column("e2e_ms");
const TPOT_MS: usize = column("tpot_ms");
const STATUS: usize = column("status");
/// Not in every file.
const SLIP_MS: usize = REQUEST_COLUMNS.len();

/// The requests of a file. Names get ids in the order in which they appear, so they need not be those of the run;
/// scenario, policy and seed are not in the file and stay empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    /// Names for the ids.
    pub names: FleetNames,
    /// The rows, in order; `retractions` and `attempts` are not in the file and are 0.
    pub records: Vec<RequestRecord>,
}

/// Reads a file's text; `file` is its name for errors.
///
/// # Errors
/// At the first thing that is not as [`crate::write_requests`] writes it, with file, line, column, value and what
/// was wanted.
pub fn read_requests(input: impl Read, file: &str) -> Result<Requests, ReportError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
    let mut row = ByteRecord::new();
    let mut requests = Requests::default();
    let mut ids = NameIds::default();
    let mut line = 1;
    let mut columns = 0;
    loop {
        let more = reader.read_byte_record(&mut row);
        line = row.position().map_or(line, csv::Position::line);
        let problem = |problem: String| ReportError::Row { file: file.to_owned(), line, problem };
        if !more.map_err(|error| problem(format!("cannot be read: {error}")))? {
            break;
        }
        if columns == 0 {
            check_header(&row, file)?;
            columns = row.len();
            continue;
        }
        if row.len() != columns {
            return Err(problem(format!("got {} fields, wanted {columns}", row.len())));
        }
        let row = Row { fields: &row, file, line };
        requests.records.push(row.record(&mut requests.names, &mut ids)?);
    }
    if columns == 0 {
        let problem = "got an empty file, wanted the header of requests.csv".to_owned();
        return Err(ReportError::Row { file: file.to_owned(), line: 1, problem });
    }
    Ok(requests)
}

fn check_header(row: &ByteRecord, file: &str) -> Result<(), ReportError> {
    let optional = (row.len() > REQUEST_COLUMNS.len()).then_some(&SLIP_COLUMN);
    for (index, wanted) in REQUEST_COLUMNS.iter().chain(optional).enumerate() {
        let got = row.get(index).unwrap_or_default();
        if got != wanted.as_bytes() {
            return Err(ReportError::Value {
                file: file.to_owned(),
                line: 1,
                column: (*wanted).to_owned(),
                value: String::from_utf8_lossy(got).into_owned(),
                wanted: format!("`{wanted}` as the name of column {}", index + 1),
            });
        }
    }
    if row.len() > REQUEST_COLUMNS.len() + 1 {
        let most = REQUEST_COLUMNS.len() + 1;
        let problem = format!("got {} columns, wanted at most {most}", row.len());
        return Err(ReportError::Row { file: file.to_owned(), line: 1, problem });
    }
    Ok(())
}

/// Names met so far.
#[derive(Default)]
struct NameIds {
    origins: BTreeMap<String, u32>,
    regions: BTreeMap<String, u32>,
    replicas: BTreeMap<String, u32>,
}

/// The id of a name, a new one if it was not met before; `names` lists them by id.
fn intern(ids: &mut BTreeMap<String, u32>, name: &str, add: impl FnOnce(String)) -> u32 {
    if let Some(&id) = ids.get(name) {
        return id;
    }
    let id = u32::try_from(ids.len()).expect("a file holds fewer than 2^32 names");
    ids.insert(name.to_owned(), id);
    add(name.to_owned());
    id
}

/// A row with what is needed to complain about it.
struct Row<'a> {
    fields: &'a ByteRecord,
    file: &'a str,
    line: u64,
}

impl Row<'_> {
    fn record(
        &self,
        names: &mut FleetNames,
        ids: &mut NameIds,
    ) -> Result<RequestRecord, ReportError> {
        let origin = intern(&mut ids.origins, self.text(ORIGIN)?, |name| names.origins.push(name));
        let mut region = |column: usize| -> Result<Option<RegionId>, ReportError> {
            let name = self.name(column)?;
            let mut id = |name| intern(&mut ids.regions, name, |name| names.regions.push(name));
            Ok(name.map(|name| RegionId(id(name))))
        };
        let router_region = region(ROUTER_REGION)?;
        let region = region(REGION)?;
        let replica = match (self.name(REPLICA)?, region) {
            (Some(name), Some(region)) => {
                let id =
                    intern(&mut ids.replicas, name, |name| names.replicas.push((name, region)));
                if names.replicas[id as usize].1 != region {
                    let home = &names.regions[names.replicas[id as usize].1.index()];
                    return Err(self
                        .refuse(REGION, &format!("`{home}`, as in earlier rows of this replica")));
                }
                Some(ReplicaId(id))
            }
            (None, None) => None,
            (None, Some(_)) => {
                return Err(self.refuse(REPLICA, "a replica where there is a region"));
            }
            (Some(_), None) => return Err(self.refuse(REGION, "a region where there is a replica")),
        };
        let record = RequestRecord {
            id: RequestId { session: self.integer(SESSION)?, turn: self.small(TURN)? },
            origin: OriginId(origin),
            router_region,
            replica,
            region,
            status: self.status()?,
            score: self.score(replica.is_some())?,
            input_tokens: self.small(INPUT_TOKENS)?,
            output_tokens: self.small(OUTPUT_TOKENS)?,
            predicted_cached_tokens: self.small(PREDICTED_CACHED_TOKENS)?,
            cached_tokens: self.small(CACHED_TOKENS)?,
            scheduled: self.time(SCHEDULED_MS)?,
            slip: self.slip()?,
            sent: self.time(SENT_MS)?,
            first_token: self.some_time(FIRST_TOKEN_MS)?,
            finished: self.some_time(FINISHED_MS)?,
            parts: self.parts()?,
            retractions: 0,
            attempts: 0,
        };
        self.check(&record)?;
        Ok(record)
    }

    /// The record's laws, and that derived columns say what the others do.
    fn check(&self, record: &RequestRecord) -> Result<(), ReportError> {
        record.check().map_err(|invalid| {
            let law = match invalid {
                Invalid::Record { law, .. } => law.to_owned(),
                other => other.to_string(),
            };
            let problem = format!("got a request that breaks a law, wanted: {law}");
            ReportError::Row { file: self.file.to_owned(), line: self.line, problem }
        })?;
        for (column, wanted) in [
            (TTFT_MS, record.ttft()),
            (TTFT_FROM_SEND_MS, record.ttft_from_send()),
            (E2E_MS, record.e2e()),
            (TPOT_MS, record.tpot()),
        ] {
            if self.some_time(column)? != wanted {
                let wanted = wanted.map_or_else(
                    || "nothing, as the other columns have it".to_owned(),
                    |wanted| format!("{:.6}, as the other columns have it", wanted.as_ms()),
                );
                return Err(self.refuse(column, &wanted));
            }
        }
        Ok(())
    }

    fn slip(&self) -> Result<Nanos, ReportError> {
        if self.fields.len() > SLIP_MS { self.time(SLIP_MS) } else { Ok(Nanos::ZERO) }
    }

    fn parts(&self) -> Result<TtftParts, ReportError> {
        let mut values = [Nanos::ZERO; 12];
        for (index, value) in values.iter_mut().enumerate() {
            *value = self.time(CLIENT_QUEUE_MS + index)?;
        }
        Ok(TtftParts::from_values(values))
    }

    fn status(&self) -> Result<Status, ReportError> {
        let names = Status::ALL.map(Status::name).join(", ");
        Status::from_name(self.text(STATUS)?)
            .ok_or_else(|| self.refuse(STATUS, &format!("one of {names}")))
    }

    fn score(&self, chosen: bool) -> Result<f64, ReportError> {
        let text = self.text(SCORE)?;
        if !chosen {
            let wanted = "nothing, as no replica was chosen";
            return if text.is_empty() { Ok(0.0) } else { Err(self.refuse(SCORE, wanted)) };
        }
        let score = text.parse::<f64>().ok().filter(|score| score.is_finite());
        score.ok_or_else(|| self.refuse(SCORE, "a finite number"))
    }

    fn field(&self, column: usize) -> &[u8] {
        self.fields.get(column).unwrap_or_default()
    }

    fn text(&self, column: usize) -> Result<&str, ReportError> {
        std::str::from_utf8(self.field(column)).map_err(|_| self.refuse(column, "UTF-8 text"))
    }

    fn name(&self, column: usize) -> Result<Option<&str>, ReportError> {
        Ok(Some(self.text(column)?).filter(|name| !name.is_empty()))
    }

    fn integer(&self, column: usize) -> Result<u64, ReportError> {
        parse_integer(self.field(column))
            .ok_or_else(|| self.refuse(column, "a whole number from 0 to 18446744073709551615"))
    }

    fn small(&self, column: usize) -> Result<u32, ReportError> {
        parse_integer(self.field(column))
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| self.refuse(column, "a whole number from 0 to 4294967295"))
    }

    fn time(&self, column: usize) -> Result<Nanos, ReportError> {
        parse_ms(self.field(column)).ok_or_else(|| {
            self.refuse(column, "milliseconds, zero or more, with at most six decimals")
        })
    }

    fn some_time(&self, column: usize) -> Result<Option<Nanos>, ReportError> {
        if self.field(column).is_empty() { Ok(None) } else { self.time(column).map(Some) }
    }

    fn refuse(&self, column: usize, wanted: &str) -> ReportError {
        ReportError::Value {
            file: self.file.to_owned(),
            line: self.line,
            column: (*REQUEST_COLUMNS.get(column).unwrap_or(&SLIP_COLUMN)).to_owned(),
            value: String::from_utf8_lossy(self.field(column)).into_owned(),
            wanted: wanted.to_owned(),
        }
    }
}
