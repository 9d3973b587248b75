//! TOML values to Rust types, each error with its place.
//!
//! A deserialiser of its own, because a program with many tables is made of little else: the TOML crate's offers every
//! type every shape of value, wrapped in three ways, and compiling that takes longer than all of the simulator. This
//! one offers a type what it asked for.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor, value::BorrowedStrDeserializer,
};
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

/// The name under which [`Located`](crate::Located) asks for a value with its place.
pub(crate) const LOCATED: &str = "$gorgo_config::Located";

/// What is wrong with a value, in serde's words, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    pub(crate) message: String,
    pub(crate) span: Option<Range<usize>>,
}

impl ReadError {
    /// The same error at `span`, unless a value further in is to blame.
    fn or_at(mut self, span: &Range<usize>) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl serde::de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None }
    }
}

/// A value of a [`Document`](crate::Document), to be read into a type.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'de> {
    node: Node<'de>,
    span: (usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Node<'de> {
    Table(&'de DeTable<'de>, Filter),
    Value(&'de DeValue<'de>),
}

/// Whether a key of a table is read; the others are somebody else's.
type Filter = fn(&str) -> bool;

const fn every(_: &str) -> bool {
    true
}

impl<'de> Reader<'de> {
    /// A reader of a value.
    #[must_use]
    pub fn new(value: &'de Spanned<DeValue<'de>>) -> Self {
        let Range { start, end } = value.span();
        let node = match value.get_ref() {
            DeValue::Table(table) => Node::Table(table, every),
            other => Node::Value(other),
        };
        Self { node, span: (start, end) }
    }

    /// A reader of a table.
    #[must_use]
    pub fn table(table: &'de Spanned<DeTable<'de>>) -> Self {
        let Range { start, end } = table.span();
        Self { node: Node::Table(table.get_ref(), every), span: (start, end) }
    }

    /// Of a table, only those keys that `keep` wants.
    #[must_use]
    pub fn only(mut self, keep: fn(&str) -> bool) -> Self {
        if let Node::Table(_, filter) = &mut self.node {
            *filter = keep;
        }
        self
    }

    fn range(&self) -> Range<usize> {
        self.span.0..self.span.1
    }

    fn unexpected(&self) -> Unexpected<'de> {
        match self.node {
            Node::Table(..) | Node::Value(DeValue::Table(_)) => Unexpected::Map,
            Node::Value(DeValue::String(text)) => Unexpected::Str(text),
            Node::Value(DeValue::Integer(number)) => match whole(number) {
                Some(number) => Unexpected::Signed(number),
                None => Unexpected::Other("a whole number beyond 64 bits"),
            },
            Node::Value(DeValue::Float(number)) => match real(number) {
                Some(number) => Unexpected::Float(number),
                None => Unexpected::Other("a number beyond 64 bits"),
            },
            Node::Value(DeValue::Boolean(flag)) => Unexpected::Bool(*flag),
            Node::Value(DeValue::Datetime(_)) => Unexpected::Other("a date or time"),
            Node::Value(DeValue::Array(_)) => Unexpected::Seq,
        }
    }

    /// That this is not a value of the kind that `visitor` wants.
    fn refuse<T>(&self, visitor: &dyn serde::de::Expected) -> Result<T, ReadError> {
        Err(ReadError::invalid_type(self.unexpected(), visitor).or_at(&self.range()))
    }

    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Node::Value(DeValue::Integer(number)) = self.node else {
            return self.refuse(&visitor);
        };
        let read = match (whole(number), large(number)) {
            (Some(number), _) => visitor.visit_i64(number),
            (None, Some(number)) => visitor.visit_u64(number),
            (None, None) => return self.refuse(&visitor),
        };
        read.map_err(|error: ReadError| error.or_at(&self.range()))
    }

    fn float<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node {
            Node::Value(DeValue::Float(number)) => match real(number) {
                Some(number) => {
                    visitor.visit_f64(number).map_err(|error: ReadError| error.or_at(&self.range()))
                }
                None => self.refuse(&visitor),
            },
            _ => self.integer(visitor),
        }
    }

    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Node::Value(DeValue::String(text)) = self.node else {
            return self.refuse(&visitor);
        };
        visitor.visit_borrowed_str(text).map_err(|error: ReadError| error.or_at(&self.range()))
    }

    fn flag<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Node::Value(DeValue::Boolean(flag)) = self.node else {
            return self.refuse(&visitor);
        };
        visitor.visit_bool(*flag).map_err(|error: ReadError| error.or_at(&self.range()))
    }

    fn items<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Node::Value(DeValue::Array(items)) = self.node else {
            return self.refuse(&visitor);
        };
        visitor
            .visit_seq(Items(items.iter()))
            .map_err(|error: ReadError| error.or_at(&self.range()))
    }

    fn entries<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let Node::Table(table, filter) = self.node else {
            return self.refuse(&visitor);
        };
        let entries = Entries { entries: table.iter(), filter, value: None };
        visitor.visit_map(entries).map_err(|error: ReadError| error.or_at(&self.range()))
    }
}

/// A number in 64 bits; none where it does not fit.
fn whole(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// As [`whole`], for what lies above.
fn large(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A number as a float; none where it does not fit. Infinity and NaN may be written, but nothing is rounded to them.
fn real(number: &DeFloat<'_>) -> Option<f64> {
    let text = number.as_str();
    text.parse().ok().filter(|number: &f64| !number.is_infinite() || text.contains("inf"))
}

macro_rules! forward {
    ($($method:ident)* => $to:ident) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            self.$to(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node {
            Node::Table(..) => self.entries(visitor),
            Node::Value(DeValue::String(_)) => self.text(visitor),
            Node::Value(DeValue::Boolean(_)) => self.flag(visitor),
            Node::Value(DeValue::Array(_)) => self.items(visitor),
            Node::Value(_) => self.float(visitor),
        }
    }

    forward!(deserialize_bool => flag);
    forward!(deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 => integer);
    forward!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 => integer);
    forward!(deserialize_f32 deserialize_f64 => float);
    forward!(deserialize_char deserialize_str deserialize_string deserialize_identifier => text);
    forward!(deserialize_seq => items);
    forward!(deserialize_map => entries);
    forward!(deserialize_bytes deserialize_byte_buf deserialize_unit => deserialize_any);

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.refuse(&visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == LOCATED {
            visitor.visit_seq(WithPlace { reader: self, given: 0 })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.items(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.items(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.entries(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let kind = match self.node {
            Node::Value(DeValue::String(kind)) => Kind { name: kind, span: self.range(), of: None },
            Node::Table(table, _) if table.len() == 1 => {
                let (key, value) = table.iter().next().expect("it has one");
                Kind { name: key.get_ref(), span: key.span(), of: Some(Reader::new(value)) }
            }
            Node::Table(table, _) => {
                let got = match table.len() {
                    0 => "an empty table",
                    _ => "a table of several keys",
                };
                return Err(ReadError::custom(format!("got {got}, wanted a table of one kind"))
                    .or_at(&self.range()));
            }
            Node::Value(_) => {
                let wanted = "a kind, as a table or a string";
                return Err(
                    ReadError::invalid_type(self.unexpected(), &wanted).or_at(&self.range())
                );
            }
        };
        visitor.visit_enum(kind).map_err(|error| error.or_at(&self.range()))
    }
}

/// The items of an array.
struct Items<'de>(std::slice::Iter<'de, Spanned<DeValue<'de>>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        self.0.next().map(|item| seed.deserialize(Reader::new(item))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// A value as its first byte, the byte after its last, and itself.
struct WithPlace<'de> {
    reader: Reader<'de>,
    given: u8,
}

impl<'de> SeqAccess<'de> for WithPlace<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        self.given += 1;
        match self.given {
            1 => seed.deserialize(self.reader.span.0.into_deserializer()).map(Some),
            2 => seed.deserialize(self.reader.span.1.into_deserializer()).map(Some),
            3 => seed.deserialize(self.reader).map(Some),
            _ => Ok(None),
        }
    }
}

/// The keys and values of a table.
struct Entries<'de, I> {
    entries: I,
    filter: Filter,
    value: Option<&'de Spanned<DeValue<'de>>>,
}

impl<'de, K, I> MapAccess<'de> for Entries<'de, I>
where
    K: AsRef<str> + 'de,
    I: Iterator<Item = (&'de Spanned<K>, &'de Spanned<DeValue<'de>>)>,
{
    type Error = ReadError;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let filter = self.filter;
        let Some((key, value)) = self.entries.find(|(key, _)| filter(key.get_ref().as_ref()))
        else {
            return Ok(None);
        };
        self.value = Some(value);
        let name = BorrowedStrDeserializer::new(key.get_ref().as_ref());
        seed.deserialize(name).map(Some).map_err(|error: ReadError| error.or_at(&key.span()))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ReadError> {
        let value = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(Reader::new(value)).map_err(|error| error.or_at(&value.span()))
    }
}

/// A kind by its name, alone or with its table.
struct Kind<'de> {
    name: &'de str,
    span: Range<usize>,
    of: Option<Reader<'de>>,
}

impl<'de> EnumAccess<'de> for Kind<'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), ReadError> {
        let kind = seed
            .deserialize(BorrowedStrDeserializer::new(self.name))
            .map_err(|error: ReadError| error.or_at(&self.span))?;
        Ok((kind, self))
    }
}

impl<'de> Kind<'de> {
    fn table(&self) -> Result<Reader<'de>, ReadError> {
        let wanted =
            || format!("got only the kind's name, wanted a table {} = {{ ... }}", self.name);
        self.of.ok_or_else(|| ReadError::custom(wanted()).or_at(&self.span))
    }
}

impl<'de> VariantAccess<'de> for Kind<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.of {
            None => Ok(()),
            Some(Reader { node: Node::Table(table, _), .. }) if table.is_empty() => Ok(()),
            Some(other) => other.refuse(&"an empty table"),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(self.table()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.table()?.items(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let table = self.table()?;
        if let Node::Table(entries, _) = table.node
            && let Some((key, _)) =
                entries.iter().find(|(key, _)| !fields.contains(&key.get_ref().as_ref()))
        {
            return Err(ReadError::unknown_field(key.get_ref(), fields).or_at(&key.span()));
        }
        table.entries(visitor)
    }
}
