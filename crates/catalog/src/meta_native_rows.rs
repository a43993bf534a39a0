//! How the native members of a document lie in its tables: columns of `meta_document` as they are given
//! back, a row of `meta_object` for each object as filters read it, and the vector beside them.

use crate::Error;
use crate::bulk::{Kind, Rows, Target};
use crate::meta::{Document, Frame, Model, Native, Object, Vector};
use crate::slice::check_key;
use crate::sql::{Row, Tx};
use framewell_model::WallTime;
use sea_query::{Expr, Query};
use serde::{Deserialize, Serialize};

/// Columns of `meta_document` with native members.
pub(crate) const NATIVE_COLUMNS: [&str; 6] = [
    "frame",
    "frame_us",
    "model_name",
    "model_version",
    "native",
    "vector_len",
];

/// Longest vector, in numbers.
const MOST_DIMENSIONS: usize = 16_384;

/// The column `native`.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    objects: Vec<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<serde_json::Value>,
}

/// Refuses what the tables cannot hold.
pub(crate) fn check_native(native: &Native) -> Result<(), Error> {
    for object in &native.objects {
        let label = object.label.as_deref().map(|label| ("a label", label));
        let track = object.track.as_deref().map(|track| ("a track", track));
        for (what, text) in label.into_iter().chain(track) {
            check_key(what, text)?;
        }
        let region = object.region();
        let edges = region.map(|region| [region.min_x, region.min_y, region.max_x, region.max_y]);
        let mut numbers = object.score.into_iter().chain(edges.into_iter().flatten());
        if numbers.any(|number| !number.is_finite()) {
            return Err(Error::Invalid("an object has no finite number".into()));
        }
    }
    if let Vector::New { values, .. } = &native.vector {
        let is_finite = values.iter().all(|value| value.is_finite());
        if !is_finite || values.is_empty() || values.len() > MOST_DIMENSIONS {
            let text = format!("a vector has 1 to {MOST_DIMENSIONS} finite numbers");
            return Err(Error::Invalid(text));
        }
    }
    Ok(())
}

/// The column `native`; NULL if it would say nothing.
pub(crate) fn native_text(native: &Native) -> Result<Option<String>, Error> {
    if native.objects.is_empty() && native.data.is_none() {
        return Ok(None);
    }
    let stored = Stored {
        objects: native.objects.clone(),
        data: native.data.clone(),
    };
    let text = serde_json::to_string(&stored);
    text.map(Some)
        .map_err(|error| Error::Invalid(error.to_string()))
}

/// Reads the native columns of a row of `meta_document`.
pub(crate) fn native(row: &Row) -> Result<Native, Error> {
    let text: Option<String> = row.get("native")?;
    let stored: Option<Stored> = text
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| Error::corrupt("native", error))?;
    let (objects, data) = stored.map_or_else(Default::default, |s| (s.objects, s.data));
    let captured: Option<i64> = row.get("frame_us")?;
    let frame: Option<String> = row.get("frame")?;
    let frame = frame
        .map(|text| text.parse())
        .transpose()
        .map_err(|error| Error::corrupt("frame", error))?;
    let version: Option<String> = row.get("model_version")?;
    let name: Option<String> = row.get("model_name")?;
    let dimensions: Option<i64> = row.get("vector_len")?;
    let dimensions = dimensions.and_then(|dimensions| usize::try_from(dimensions).ok());
    Ok(Native {
        frame: frame.map(|id| Frame {
            id,
            captured: captured.map(WallTime::from_micros),
        }),
        objects,
        data,
        model: name.map(|name| Model { name, version }),
        vector: dimensions.map_or(Vector::None, |dimensions| Vector::Stored { dimensions }),
    })
}

/// Writes the rows besides `meta_document`; `replaced` are the numbers of those that may have some.
pub(crate) async fn put_native(
    tx: &mut Tx,
    documents: &[(i64, &Document)],
    replaced: &[i64],
) -> Result<(), Error> {
    delete_of(tx, "meta_object", replaced).await?;
    tx.insert(&objects(documents)).await?;
    put_vectors(tx, documents, replaced).await
}

/// Deletes the rows about these documents.
pub(crate) async fn delete_of(
    tx: &mut Tx,
    table: &'static str,
    documents: &[i64],
) -> Result<(), Error> {
    if documents.is_empty() {
        return Ok(());
    }
    let delete = Query::delete()
        .from_table(table)
        .and_where(tx.dialect().is_one_of(Expr::col("document"), documents))
        .take();
    tx.execute(&delete).await.map(drop)
}

const OBJECTS: Target = Target {
    table: "meta_object",
    columns: &[
        ("document", Kind::Number),
        ("position", Kind::Number),
        ("channel", Kind::Number),
        ("label", Kind::Text),
        ("score", Kind::Real),
        ("track", Kind::Text),
        ("min_x", Kind::Real),
        ("min_y", Kind::Real),
        ("max_x", Kind::Real),
        ("max_y", Kind::Real),
    ],
    tail: "",
};

fn objects<'a>(documents: &[(i64, &'a Document)]) -> Rows<'a> {
    let mut rows = Rows::new(OBJECTS);
    for (number, document) in documents {
        for (position, object) in (0_i64..).zip(&document.native.objects) {
            let region = object.region();
            rows.push([
                (*number).into(),
                position.into(),
                document.channel.get().into(),
                object.label.as_deref().into(),
                object.score.into(),
                object.track.as_deref().into(),
                region.map(|region| region.min_x).into(),
                region.map(|region| region.min_y).into(),
                region.map(|region| region.max_x).into(),
                region.map(|region| region.max_y).into(),
            ]);
        }
    }
    rows
}

async fn put_vectors(
    tx: &mut Tx,
    documents: &[(i64, &Document)],
    replaced: &[i64],
) -> Result<(), Error> {
    let is_without = |number: &i64| {
        documents
            .iter()
            .any(|(of, document)| of == number && document.native.vector == Vector::None)
    };
    let with_old: Vec<i64> = match documents {
        // The usual write of many compatible documents.
        _ if documents
            .iter()
            .all(|(_, d)| d.native.vector == Vector::None) =>
        {
            replaced.to_vec()
        }
        _ => replaced.iter().copied().filter(is_without).collect(),
    };
    delete_of(tx, "meta_vector", &with_old).await?;
    delete_of(tx, "meta_sketch", &with_old).await?;
    let kept: Vec<i64> = documents
        .iter()
        .filter(|(_, document)| matches!(document.native.vector, Vector::Stored { .. }))
        .map(|(number, _)| *number)
        .collect();
    if !kept.is_empty() {
        let moved = Query::update()
            .table("meta_sketch")
            .value(
                "timestamp_us",
                Expr::cust("(SELECT timestamp_us FROM meta_document WHERE number = document)"),
            )
            .and_where(tx.dialect().is_one_of(Expr::col("document"), &kept))
            .take();
        tx.execute(&moved).await?;
    }
    // Vectors are long: fewer at once.
    for some in documents.chunks(VECTORS_AT_ONCE) {
        insert_vectors(tx, some).await?;
    }
    Ok(())
}

/// Vectors inserted by one statement, at most 64 KiB each.
const VECTORS_AT_ONCE: usize = 200;

const VECTORS: Target = Target {
    table: "meta_vector",
    columns: &[("document", Kind::Number), ("vector", Kind::Bytes)],
    tail: "ON CONFLICT (document) DO UPDATE SET vector = excluded.vector",
};
const SKETCHES: Target = Target {
    table: "meta_sketch",
    columns: &[
        ("document", Kind::Number),
        ("channel", Kind::Number),
        ("timestamp_us", Kind::Number),
        ("dimensions", Kind::Number),
        ("sketch", Kind::Bytes),
    ],
    tail: "ON CONFLICT (document) DO UPDATE SET channel = excluded.channel, timestamp_us = excluded.timestamp_us, \
           dimensions = excluded.dimensions, sketch = excluded.sketch",
};

async fn insert_vectors(tx: &mut Tx, documents: &[(i64, &Document)]) -> Result<(), Error> {
    let mut vectors = Rows::new(VECTORS);
    let mut sketches = Rows::new(SKETCHES);
    for (number, document) in documents {
        let Vector::New { values, sketch } = &document.native.vector else {
            continue;
        };
        vectors.push([(*number).into(), vector_bytes(values).into()]);
        sketches.push([
            (*number).into(),
            document.channel.get().into(),
            document.timestamp.micros().into(),
            i64::try_from(values.len()).unwrap_or(i64::MAX).into(),
            sketch.as_slice().into(),
        ]);
    }
    tx.insert(&vectors).await?;
    tx.insert(&sketches).await.map(drop)
}

fn vector_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// The numbers of a stored vector.
pub(crate) fn vector_of(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect()
}
