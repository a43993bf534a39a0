//! Metadata documents and the typed filter over them (contract section 11).

use crate::{Catalog, Error, Page, Slice};
use framewell_model::{ChannelId, WallTime};
use std::collections::BTreeMap;

/// A stored document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Opaque id.
    pub id: String,
    /// The channel it is about.
    pub channel: ChannelId,
    /// The moment it is about.
    pub timestamp: WallTime,
    /// 64-bit integers by name.
    pub long: BTreeMap<String, i64>,
    /// Finite numbers by name.
    pub float: BTreeMap<String, f64>,
    /// Texts by name.
    pub string: BTreeMap<String, String>,
    /// Free text.
    pub raw_data: Option<String>,
}

/// A field of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The moment.
    Timestamp,
    /// The id.
    Id,
    /// Free text.
    RawData,
    /// An integer by name.
    Long(String),
    /// A number by name.
    Float(String),
    /// A text by name.
    String(String),
}

/// A value to compare with, of the field's type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// For [`Field::Long`].
    Long(i64),
    /// For [`Field::Float`], and for [`Field::Long`] when the client sent a fraction.
    Float(f64),
    /// For texts and ids.
    Text(String),
    /// For [`Field::Timestamp`].
    Time(WallTime),
}

/// A test of one field. A document that lacks the field matches only `Ne` and `Exists(false)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Equal.
    Eq(Value),
    /// Not equal, or absent.
    Ne(Value),
    /// Greater.
    Gt(Value),
    /// Greater or equal.
    Gte(Value),
    /// Less.
    Lt(Value),
    /// Less or equal.
    Lte(Value),
    /// One of.
    In(Vec<Value>),
    /// Text contains all of these words, in any case; a word is a run of letters and digits.
    WordsIn(Vec<String>),
    /// The field is there, or is not.
    Exists(bool),
}

/// A filter over documents.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of; empty matches everything.
    And(Vec<Filter>),
    /// Any of; empty matches nothing.
    Or(Vec<Filter>),
    /// None of.
    Not(Box<Filter>),
    /// A test of one field.
    Leaf(Field, Test),
}

/// A sort key; ties are broken by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// By what; documents that lack it come last.
    pub field: Field,
    /// Largest first.
    pub is_descending: bool,
}

impl Catalog {
    /// Inserts or replaces documents, all or none.
    pub async fn put_documents(&self, documents: &[Document]) -> Result<(), Error> {
        let _ = documents;
        todo!()
    }

    /// Documents by id among these channels; missing ones are left out.
    pub async fn load_documents(
        &self,
        channels: &[ChannelId],
        ids: &[String],
    ) -> Result<Vec<Document>, Error> {
        let _ = (channels, ids);
        todo!()
    }

    /// Deletes documents by id among these channels; which were there.
    pub async fn delete_documents(
        &self,
        channels: &[ChannelId],
        ids: &[String],
    ) -> Result<Vec<String>, Error> {
        let _ = (channels, ids);
        todo!()
    }

    /// Documents of these channels that match.
    pub async fn find_documents(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
        sort: &[Sort],
        slice: Slice,
    ) -> Result<Page<Document>, Error> {
        let _ = (channels, filter, sort, slice);
        todo!()
    }

    /// Deletes documents of these channels that match; how many.
    pub async fn delete_matching_documents(
        &self,
        channels: &[ChannelId],
        filter: &Filter,
    ) -> Result<u64, Error> {
        let _ = (channels, filter);
        todo!()
    }
}
