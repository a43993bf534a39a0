//! How a document lies in its tables: one row of `meta_document`, one row of `meta_field` for each typed
//! value. Filters read the latter, documents come back from the column `body` of the former.

use crate::Error;
use crate::bulk::{Cell, Kind, Rows, Target};
use crate::channels::only;
use crate::meta::Document;
use crate::meta_filter::text_key;
use crate::meta_native_rows::{NATIVE_COLUMNS, check_native, native, native_text};
use crate::slice::check_key;
use crate::sql::{Dialect, Row, Tx};
use crate::text::word_list;
use framewell_model::{ChannelId, WallTime};
use sea_query::{Expr, Query, SelectStatement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Documents written or named by one statement.
pub(crate) const ROWS_AT_ONCE: usize = 1_000;

/// The typed maps of a document.
#[derive(Serialize, Deserialize)]
struct Body {
    long: BTreeMap<String, i64>,
    /// As texts: parsing JSON numbers may miss the last bit.
    float: BTreeMap<String, String>,
    string: BTreeMap<String, String>,
}

/// Refuses documents that the tables cannot hold.
pub(crate) fn check(document: &Document) -> Result<(), Error> {
    check_key("the id of a document", &document.id)?;
    let names = document.long.keys();
    for name in names
        .chain(document.float.keys())
        .chain(document.string.keys())
    {
        check_key("the name of a field", name)?;
    }
    check_native(&document.native)?;
    let Document { id, float, .. } = document;
    match float.iter().find(|(_, value)| !value.is_finite()) {
        Some((name, _)) => {
            let text = format!("field {name:?} of document {id:?} is no finite number");
            Err(Error::Invalid(text))
        }
        None => Ok(()),
    }
}

/// The text is [`Target::tail`] for either database, which tells new documents by other means.
macro_rules! replacing {
    ($returned:literal) => {
        concat!(
            "ON CONFLICT (channel, id) DO UPDATE SET timestamp_us = excluded.timestamp_us, ",
            "raw_data = excluded.raw_data, raw_words = excluded.raw_words, body = excluded.body, ",
            "frame = excluded.frame, frame_us = excluded.frame_us, model_name = excluded.model_name, ",
            "model_version = excluded.model_version, native = excluded.native, vector_len = excluded.vector_len ",
            "RETURNING number, channel, id, ",
            $returned
        )
    };
}

const DOCUMENTS: Target = Target {
    table: "meta_document",
    columns: &[
        ("id", Kind::Text),
        ("id_words", Kind::Text),
        ("channel", Kind::Number),
        ("timestamp_us", Kind::Number),
        ("raw_data", Kind::Text),
        ("raw_words", Kind::Text),
        ("body", Kind::Text),
        ("frame", Kind::Text),
        ("frame_us", Kind::Number),
        ("model_name", Kind::Text),
        ("model_version", Kind::Text),
        ("native", Kind::Text),
        ("vector_len", Kind::Number),
    ],
    // A row version that replaced another one carries the lock that was taken for it.
    tail: replacing!("(xmax = 0) AS is_new"),
};

/// What an upsert did with a document.
pub(crate) struct Upserted {
    pub(crate) number: i64,
    pub(crate) channel: i64,
    pub(crate) id: String,
    /// Nothing else is stored about it yet.
    pub(crate) is_new: bool,
}

/// Inserts documents, or replaces those that are there.
pub(crate) async fn upsert(tx: &mut Tx, documents: &[&Document]) -> Result<Vec<Upserted>, Error> {
    // SQLite does not tell which ones are new, but its numbers grow and nobody else writes meanwhile.
    let newest = match tx.dialect() {
        Dialect::Sqlite => Some(newest_number(tx).await?),
        Dialect::Postgres => None,
    };
    let mut rows = Rows::new(match tx.dialect() {
        Dialect::Sqlite => Target {
            tail: replacing!("0 AS is_new"),
            ..DOCUMENTS
        },
        Dialect::Postgres => DOCUMENTS,
    });
    for document in documents {
        push(&mut rows, document)?;
    }
    let upserted = |row: &Row| {
        let number = row.get("number")?;
        Ok(Upserted {
            number,
            channel: row.get("channel")?,
            id: row.get("id")?,
            is_new: match newest {
                Some(newest) => number > newest,
                None => row.get("is_new")?,
            },
        })
    };
    tx.insert(&rows).await?.iter().map(upserted).collect()
}

async fn newest_number(tx: &mut Tx) -> Result<i64, Error> {
    let select = Query::select()
        .expr_as(Expr::cust("COALESCE(MAX(number), 0)"), "newest")
        .from("meta_document")
        .take();
    only(&tx.fetch(&select).await?)?.get("newest")
}

fn push<'a>(rows: &mut Rows<'a>, document: &'a Document) -> Result<(), Error> {
    let native = &document.native;
    let frame = native.frame;
    let model = native.model.as_ref();
    let dimensions = native.vector.dimensions().map(i64::try_from);
    let captured = frame.and_then(|frame| frame.captured);
    rows.push([
        document.id.as_str().into(),
        word_list(&document.id).into(),
        document.channel.get().into(),
        document.timestamp.micros().into(),
        document.raw_data.as_deref().into(),
        document.raw_data.as_deref().map(word_list).into(),
        body(document)?.into(),
        frame.map(|frame| frame.id.to_string()).into(),
        captured.map(WallTime::micros).into(),
        model.map(|model| model.name.as_str()).into(),
        model.and_then(|model| model.version.as_deref()).into(),
        native_text(native)?.into(),
        dimensions.and_then(Result::ok).into(),
    ]);
    Ok(())
}

fn body(document: &Document) -> Result<String, Error> {
    let body = Body {
        long: document.long.clone(),
        float: document
            .float
            .iter()
            .map(|(name, value)| (name.clone(), format!("{value:?}")))
            .collect(),
        string: document.string.clone(),
    };
    serde_json::to_string(&body).map_err(|error| Error::Invalid(error.to_string()))
}

const FIELDS: Target = Target {
    table: "meta_field",
    columns: &[
        ("document", Kind::Number),
        ("channel", Kind::Number),
        ("name", Kind::Text),
        ("kind", Kind::Text),
        ("long_value", Kind::Number),
        ("float_value", Kind::Real),
        ("text_value", Kind::Text),
        ("text_key", Kind::Text),
        ("words", Kind::Text),
    ],
    tail: "",
};

/// A row for each typed value of documents, which come with their numbers.
pub(crate) fn fields<'a>(documents: &[(i64, &'a Document)]) -> Rows<'a> {
    let mut rows = Rows::new(FIELDS);
    for (number, document) in documents {
        let mut push = |name: &'a str, kind: &'static str, long, float, text: Option<&'a str>| {
            rows.push([
                (*number).into(),
                document.channel.get().into(),
                name.into(),
                kind.into(),
                Cell::Number(long),
                Cell::Real(float),
                text.into(),
                text.map(text_key).into(),
                text.map(word_list).into(),
            ]);
        };
        for (name, value) in &document.long {
            push(name, "long", Some(*value), None, None);
        }
        for (name, value) in &document.float {
            push(name, "float", None, Some(*value), None);
        }
        for (name, value) in &document.string {
            push(name, "string", None, None, Some(value));
        }
    }
    rows
}

/// Adds the columns that [`document`] reads.
pub(crate) fn with_columns(mut select: SelectStatement) -> SelectStatement {
    select
        .columns(
            ["id", "channel", "timestamp_us", "raw_data", "body"]
                .into_iter()
                .chain(NATIVE_COLUMNS)
                .map(|column| ("meta_document", column)),
        )
        .take()
}

pub(crate) fn document(row: &Row) -> Result<Document, Error> {
    let body: String = row.get("body")?;
    let body: Body = serde_json::from_str(&body).map_err(|error| Error::corrupt("body", error))?;
    let float = |(name, text): (String, String)| match text.parse() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(Error::corrupt(
            "body",
            format!("field {name:?} is no number"),
        )),
    };
    Ok(Document {
        id: row.get("id")?,
        channel: row.id("channel", ChannelId::stored)?,
        timestamp: WallTime::from_micros(row.get("timestamp_us")?),
        long: body.long,
        float: body
            .float
            .into_iter()
            .map(float)
            .collect::<Result<_, _>>()?,
        string: body.string,
        raw_data: row.get("raw_data")?,
        native: native(row)?,
    })
}
