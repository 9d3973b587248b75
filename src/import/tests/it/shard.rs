//! Writes parquet shards in WildChat's real schemas, whole or broken, from rows as JSON. Columns that nobody reads are
//! there too, as in the real ones.

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// allenai/WildChat-1M, as its data set card lists the features; the scores of moderation, 40 columns that differ in
/// name alone, are cut to a few.
pub const SCHEMA_1M: &str = "message schema {
  optional binary conversation_hash (STRING);
  optional binary model (STRING);
  optional int64 timestamp (TIMESTAMP(MICROS,true));
  optional group conversation (LIST) {
    repeated group list {
      optional group element {
        optional binary content (STRING);
        optional binary country (STRING);
        optional binary hashed_ip (STRING);
        optional group header {
          optional binary accept-language (STRING);
          optional binary user-agent (STRING);
        }
        optional binary language (STRING);
        optional boolean redacted;
        optional binary role (STRING);
        optional binary state (STRING);
        optional int64 timestamp (TIMESTAMP(MICROS,true));
        optional boolean toxic;
        optional int64 turn_identifier;
      }
    }
  }
  optional int64 turn;
  optional binary language (STRING);
  optional group openai_moderation (LIST) {
    repeated group list {
      optional group element {
        optional group categories {
          optional boolean harassment;
          optional boolean violence;
        }
        optional group category_scores {
          optional double harassment;
          optional double violence;
        }
        optional boolean flagged;
      }
    }
  }
  optional boolean toxic;
  optional boolean redacted;
  optional binary state (STRING);
  optional binary country (STRING);
  optional binary hashed_ip (STRING);
  optional group header {
    optional binary accept-language (STRING);
    optional binary user-agent (STRING);
  }
}";

/// allenai/WildChat-4.8M: times without a zone, and what OpenAI's API says of an answer.
pub const SCHEMA_4_8M: &str = "message schema {
  optional binary conversation_hash (STRING);
  optional binary model (STRING);
  optional int64 timestamp (TIMESTAMP(MICROS,false));
  optional group conversation (LIST) {
    repeated group list {
      optional group element {
        optional binary content (STRING);
        optional int64 created;
        optional group header {
          optional binary accept-language (STRING);
          optional binary user-agent (STRING);
        }
        optional binary hashed_ip (STRING);
        optional binary country (STRING);
        optional boolean toxic;
        optional boolean redacted;
        optional binary state (STRING);
        optional binary language (STRING);
        optional binary openai_id (STRING);
        optional binary role (STRING);
        optional double temperature;
        optional int64 timestamp (TIMESTAMP(MICROS,false));
        optional int64 token_counter;
        optional double top_p;
        optional int64 turn_identifier;
        optional binary system_fingerprint (STRING);
        optional group usage {
          optional int64 completion_tokens;
          optional group completion_tokens_details {
            optional int64 reasoning_tokens;
          }
          optional int64 prompt_tokens;
          optional int64 total_tokens;
        }
      }
    }
  }
  optional int64 turn;
  optional binary language (STRING);
  optional boolean toxic;
  optional boolean redacted;
  optional binary state (STRING);
  optional binary country (STRING);
  optional binary hashed_ip (STRING);
}";

/// One column's levels and values.
#[derive(Default)]
struct Leaf {
    defs: Vec<i16>,
    reps: Vec<i16>,
    values: Vec<Value>,
}

/// A shard being written, row group by row group.
pub struct Shard {
    schema: Arc<Type>,
    writer: SerializedFileWriter<File>,
}

impl Shard {
    /// Begins a shard of this schema, compressed by snappy like the real ones.
    pub fn create(path: &Path, schema: &str) -> Self {
        let schema = Arc::new(parse_message_type(schema).expect("a schema"));
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = File::create(path).expect("the file can be written");
        let writer = SerializedFileWriter::new(file, Arc::clone(&schema), Arc::new(properties))
            .expect("the shard begins");
        Self { schema, writer }
    }

    /// Writes a row group.
    pub fn group(&mut self, rows: &[Value]) {
        let mut leaves = Vec::new();
        for field in self.schema.get_fields() {
            let mut columns: Vec<Leaf> = (0..leaf_count(field)).map(|_| Leaf::default()).collect();
            for row in rows {
                shred(field, row.get(field.name()), (0, 0, 0), &mut columns);
            }
            leaves.extend(columns);
        }
        let mut group = self.writer.next_row_group().expect("a row group");
        let mut physical = Vec::new();
        physical_types(&self.schema, &mut physical);
        for (leaf, physical) in leaves.iter().zip(physical) {
            write(&mut group, leaf, physical);
        }
        group.close().expect("the row group ends");
    }

    /// Writes the footer.
    pub fn finish(self) {
        self.writer.close().expect("the footer");
    }
}

fn leaf_count(node: &Type) -> usize {
    if node.is_primitive() { 1 } else { node.get_fields().iter().map(|f| leaf_count(f)).sum() }
}

fn physical_types(node: &Type, into: &mut Vec<Physical>) {
    if node.is_primitive() {
        into.push(node.get_physical_type());
    } else {
        node.get_fields().iter().for_each(|field| physical_types(field, into));
    }
}

fn is_list(node: &Type) -> bool {
    let info = node.get_basic_info();
    matches!(info.logical_type_ref(), Some(LogicalType::List))
        || info.converted_type() == ConvertedType::LIST
}

/// Cuts a value into the columns below a node: Dremel's levels. `at` is (repetition, definition, lists around).
fn shred(node: &Type, value: Option<&Value>, at: (i16, i16, i16), leaves: &mut [Leaf]) {
    let (rep, mut def, lists) = at;
    let value = value.filter(|value| !value.is_null());
    match node.get_basic_info().repetition() {
        Repetition::REQUIRED => below(node, value, at, leaves),
        Repetition::OPTIONAL => match value {
            None => nothing(leaves, rep, def),
            Some(_) => {
                def += 1;
                below(node, value, (rep, def, lists), leaves);
            }
        },
        Repetition::REPEATED => {
            let elements = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            if elements.is_empty() {
                nothing(leaves, rep, def);
            }
            for (index, element) in elements.iter().enumerate() {
                let rep = if index == 0 { rep } else { lists + 1 };
                below(node, Some(element), (rep, def + 1, lists + 1), leaves);
            }
        }
    }
}

fn below(node: &Type, value: Option<&Value>, at: (i16, i16, i16), leaves: &mut [Leaf]) {
    if node.is_primitive() {
        leaves[0].defs.push(at.1);
        leaves[0].reps.push(at.0);
        leaves[0].values.extend(value.cloned());
        return;
    }
    let mut first = 0;
    for field in node.get_fields() {
        let count = leaf_count(field);
        // The levels of a list have names that its values lack.
        let named = !is_list(node) && node.get_basic_info().repetition() != Repetition::REPEATED;
        let inner = if named { value.and_then(|value| value.get(field.name())) } else { value };
        shred(field, inner, at, &mut leaves[first..first + count]);
        first += count;
    }
}

fn nothing(leaves: &mut [Leaf], rep: i16, def: i16) {
    for leaf in leaves {
        leaf.defs.push(def);
        leaf.reps.push(rep);
    }
}

fn write(group: &mut SerializedRowGroupWriter<'_, File>, leaf: &Leaf, physical: Physical) {
    match physical {
        Physical::BYTE_ARRAY => column::<ByteArrayType>(group, leaf, |value| match value {
            Value::String(text) => ByteArray::from(text.as_str()),
            // Bytes that need not be text.
            Value::Array(bytes) => ByteArray::from(
                bytes.iter().map(|byte| byte.as_u64().expect("a byte") as u8).collect::<Vec<_>>(),
            ),
            other => ByteArray::from(other.to_string().as_str()),
        }),
        Physical::INT64 => column::<Int64Type>(group, leaf, |v| v.as_i64().expect("a number")),
        Physical::INT32 => {
            column::<Int32Type>(group, leaf, |v| v.as_i64().expect("a number") as i32)
        }
        Physical::DOUBLE => column::<DoubleType>(group, leaf, |v| v.as_f64().expect("a number")),
        Physical::BOOLEAN => column::<BoolType>(group, leaf, |v| v.as_bool().expect("a flag")),
        other => panic!("no column of {other}"),
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    leaf: &Leaf,
    convert: impl Fn(&Value) -> T::T,
) {
    let values: Vec<T::T> = leaf.values.iter().map(convert).collect();
    let mut column = group.next_column().expect("a column").expect("one more column");
    let writer = column.typed::<T>();
    writer.write_batch(&values, Some(&leaf.defs), Some(&leaf.reps)).expect("values");
    column.close().expect("the column ends");
}
