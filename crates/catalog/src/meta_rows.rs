//! How a document lies in its tables: one row of `meta_document`, one row of `meta_field` for each typed
//! value. Filters read the latter, documents come back from the column `body` of the former.

use crate::Error;
use crate::meta::Document;
use crate::meta_filter::text_key;
use crate::meta_native_rows::{NATIVE_COLUMNS, check_native, native, native_text};
use crate::slice::check_key;
use crate::sql::{Dialect, Row};
use crate::text::word_list;
use framewell_model::{ChannelId, WallTime};
use sea_query::{Expr, InsertStatement, OnConflict, Query, SelectStatement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rows inserted by one statement: at most thirteen values each stay below the limits of both databases.
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

/// Inserts documents, or replaces those that are there; returns `number`, `channel` and `id` of each, and
/// `is_new`: if true, nothing else is stored about it yet.
pub(crate) fn upsert(documents: &[&Document], dialect: Dialect) -> Result<InsertStatement, Error> {
    let replaced = ["timestamp_us", "raw_data", "raw_words", "body"];
    let conflict = OnConflict::columns(["channel", "id"])
        .update_columns(replaced.into_iter().chain(NATIVE_COLUMNS))
        .to_owned();
    let returned = ["number", "channel", "id"].map(Expr::col);
    let is_new = Expr::cust(match dialect {
        // SQLite does not tell; looking for what is not there costs it little.
        Dialect::Sqlite => "0 AS is_new",
        // A row version that replaced another one carries the lock that was taken for it.
        Dialect::Postgres => "(xmax = 0) AS is_new",
    });
    let mut insert = Query::insert();
    insert
        .into_table("meta_document")
        .columns(
            [
                "id",
                "id_words",
                "channel",
                "timestamp_us",
                "raw_data",
                "raw_words",
                "body",
            ]
            .into_iter()
            .chain(NATIVE_COLUMNS),
        )
        .on_conflict(conflict)
        .returning(Query::returning().exprs(returned.into_iter().chain([is_new])));
    for document in documents {
        let native = &document.native;
        let frame = native.frame;
        let model = native.model.as_ref();
        let dimensions = native.vector.dimensions().map(i64::try_from);
        insert.values_panic([
            document.id.as_str().into(),
            word_list(&document.id).into(),
            document.channel.get().into(),
            document.timestamp.micros().into(),
            document.raw_data.clone().into(),
            document.raw_data.as_deref().map(word_list).into(),
            body(document)?.into(),
            frame.map(|frame| frame.id.to_string()).into(),
            frame
                .and_then(|frame| frame.captured)
                .map(WallTime::micros)
                .into(),
            model.map(|model| model.name.clone()).into(),
            model.and_then(|model| model.version.clone()).into(),
            native_text(native)?.into(),
            dimensions.and_then(Result::ok).into(),
        ]);
    }
    Ok(insert)
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

/// One value of a document, with the row number of the document.
pub(crate) struct FieldRow<'a> {
    document: i64,
    channel: ChannelId,
    name: &'a str,
    value: FieldValue<'a>,
}

enum FieldValue<'a> {
    Long(i64),
    Float(f64),
    Text(&'a str),
}

/// All values of a document.
pub(crate) fn fields(number: i64, document: &Document) -> impl Iterator<Item = FieldRow<'_>> {
    let row = move |name, value| FieldRow {
        document: number,
        channel: document.channel,
        name,
        value,
    };
    let long = document.long.iter();
    let float = document.float.iter();
    let string = document.string.iter();
    long.map(move |(name, value)| row(name, FieldValue::Long(*value)))
        .chain(float.map(move |(name, value)| row(name, FieldValue::Float(*value))))
        .chain(string.map(move |(name, value)| row(name, FieldValue::Text(value))))
}

pub(crate) fn insert_fields(rows: &[FieldRow<'_>]) -> InsertStatement {
    let mut insert = Query::insert();
    insert.into_table("meta_field").columns([
        "document",
        "channel",
        "name",
        "kind",
        "long_value",
        "float_value",
        "text_value",
        "text_key",
        "words",
    ]);
    for row in rows {
        let (kind, long, float, text) = match row.value {
            FieldValue::Long(value) => ("long", Some(value), None, None),
            FieldValue::Float(value) => ("float", None, Some(value), None),
            FieldValue::Text(value) => ("string", None, None, Some(value)),
        };
        insert.values_panic([
            row.document.into(),
            row.channel.get().into(),
            row.name.into(),
            kind.into(),
            long.into(),
            float.into(),
            text.map(str::to_owned).into(),
            text.map(text_key).into(),
            text.map(word_list).into(),
        ]);
    }
    insert
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
