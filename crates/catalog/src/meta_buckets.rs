//! Documents counted by intervals of time.

use crate::meta::{Scope, Value};
use crate::sql::Row;
use crate::{Catalog, Error};
use framewell_model::WallTime;
use sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};

/// Most buckets of one answer.
const MOST_BUCKETS: usize = 10_000;

/// What is counted, and how.
#[derive(Debug, Clone)]
pub struct BucketQuery<'a> {
    /// Which documents.
    pub scope: Scope<'a>,
    /// Length of a bucket in microseconds, at least 1. Buckets begin at multiples of it since 1970.
    pub interval_us: i64,
    /// One bucket for each label of an interval; documents without a labelled object are not counted.
    pub is_by_label: bool,
    /// The numbers of which the spread is told.
    pub measured: Option<Measured>,
}

/// Numbers of documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measured {
    /// An integer by name, one for each document.
    Long(String),
    /// A number by name, one for each document.
    Float(String),
    /// Scores of objects: by label those of the label, else all.
    Score,
}

/// An interval that has documents.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Its first moment.
    pub start: WallTime,
    /// The label, by label.
    pub label: Option<String>,
    /// How many documents.
    pub documents: i64,
    /// How many objects, where objects were looked at.
    pub objects: Option<i64>,
    /// The numbers; `None` if there are none.
    pub spread: Option<Spread>,
}

/// Where numbers lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// How many.
    pub count: i64,
    /// The smallest, of the field's type.
    pub min: Value,
    /// The largest, of the field's type.
    pub max: Value,
    /// Their mean.
    pub avg: f64,
}

impl Catalog {
    /// Counts documents by intervals, ascending, then by label. Intervals without documents are left
    /// out. [`Error::Invalid`] if there are more than 10,000 buckets.
    pub async fn count_by_time(&self, query: &BucketQuery<'_>) -> Result<Vec<Bucket>, Error> {
        if query.interval_us < 1 {
            return Err(Error::Invalid("an interval is longer than nothing".into()));
        }
        self.search("count of documents by time", async |search| {
            let documents = query.each_document(query.scope.select(search).await?);
            let rows = search.fetch(&query.sums(documents)).await?;
            if rows.len() > MOST_BUCKETS {
                let text = format!("there are more than {MOST_BUCKETS} buckets; ask for longer intervals or less time");
                return Err(Error::Invalid(text));
            }
            rows.iter().map(|row| query.bucket(row)).collect()
        })
        .await
    }
}

impl BucketQuery<'_> {
    fn has_objects(&self) -> bool {
        self.is_by_label || self.measured == Some(Measured::Score)
    }

    /// A row for each document (and label), with what is known about it.
    fn each_document(&self, mut matching: SelectStatement) -> SelectStatement {
        let timestamp = || Expr::col(("meta_document", "timestamp_us"));
        let interval = self.interval_us;
        // Down to the multiple before, for moments before 1970 too.
        let rest = timestamp().modulo(interval).add(interval).modulo(interval);
        matching.expr_as(timestamp().sub(rest), "bucket");
        if self.has_objects() {
            let object = |column| Expr::col(("meta_object", column));
            matching
                .inner_join(
                    "meta_object",
                    object("document").equals(("meta_document", "number")),
                )
                .expr_as(Expr::cust("COUNT(*)"), "objects")
                // By the primary key, so that the bucket is one of each group.
                .group_by_col(("meta_document", "number"));
            if self.is_by_label {
                matching
                    .column(("meta_object", "label"))
                    .and_where(object("label").is_not_null())
                    .group_by_col(("meta_object", "label"));
            }
        }
        if let Some(measured) = &self.measured {
            self.measure(&mut matching, measured);
        }
        matching
    }

    fn measure(&self, matching: &mut SelectStatement, measured: &Measured) {
        let (kind, name, column) = match measured {
            Measured::Long(name) => ("long", name, "meta_field.long_value"),
            Measured::Float(name) => ("float", name, "meta_field.float_value"),
            Measured::Score => {
                for (sql, alias) in [
                    ("MIN(meta_object.score)", "least"),
                    ("MAX(meta_object.score)", "most"),
                    ("SUM(meta_object.score)", "total"),
                    ("COUNT(meta_object.score)", "numbers"),
                ] {
                    matching.expr_as(Expr::cust(sql), alias);
                }
                return;
            }
        };
        let field = |column| Expr::col(("meta_field", column));
        let is_it = field("document")
            .equals(("meta_document", "number"))
            .and(field("kind").eq(kind))
            .and(field("name").eq(name.as_str()));
        matching.left_join("meta_field", is_it);
        // With objects there are as many rows of a document as it has objects, all with one number.
        let one = |sql: String| match self.has_objects() {
            true => Expr::cust(format!("MIN({sql})")),
            false => Expr::cust(sql),
        };
        let as_double = format!("CAST({column} AS DOUBLE PRECISION)");
        let is_there = format!("CASE WHEN {column} IS NULL THEN 0 ELSE 1 END");
        for (sql, alias) in [
            (column.to_owned(), "least"),
            (column.to_owned(), "most"),
            (as_double, "total"),
            (is_there, "numbers"),
        ] {
            matching.expr_as(one(sql), alias);
        }
    }

    /// A row for each bucket.
    fn sums(&self, documents: SelectStatement) -> SelectStatement {
        let mut sums = Query::select();
        sums.from_subquery(documents, "one")
            .column(("one", "bucket"))
            .expr_as(Expr::cust("COUNT(*)"), "documents")
            .group_by_col(("one", "bucket"))
            .order_by(("one", "bucket"), Order::Asc)
            .limit(MOST_BUCKETS as u64 + 1);
        if self.has_objects() {
            let sum = Expr::cust("CAST(SUM(one.objects) AS BIGINT)");
            sums.expr_as(sum, "objects");
        }
        if self.is_by_label {
            sums.column(("one", "label"))
                .group_by_col(("one", "label"))
                .order_by(("one", "label"), Order::Asc);
        }
        if self.measured.is_some() {
            for (sql, alias) in [
                ("MIN(one.least)", "least"),
                ("MAX(one.most)", "most"),
                ("CAST(SUM(one.total) AS DOUBLE PRECISION)", "total"),
                ("CAST(SUM(one.numbers) AS BIGINT)", "numbers"),
            ] {
                sums.expr_as(Expr::cust(sql), alias);
            }
        }
        sums.take()
    }

    fn bucket(&self, row: &Row) -> Result<Bucket, Error> {
        let label = match self.is_by_label {
            true => row.get("label")?,
            false => None,
        };
        let objects = match self.has_objects() {
            true => Some(row.get("objects")?),
            false => None,
        };
        Ok(Bucket {
            start: WallTime::from_micros(row.get("bucket")?),
            label,
            documents: row.get("documents")?,
            objects,
            spread: self.spread(row)?,
        })
    }

    fn spread(&self, row: &Row) -> Result<Option<Spread>, Error> {
        let Some(measured) = &self.measured else {
            return Ok(None);
        };
        let count: i64 = row.get("numbers")?;
        if count == 0 {
            return Ok(None);
        }
        let value = |column: &'static str| {
            Ok::<_, Error>(match measured {
                Measured::Long(_) => Value::Long(row.get(column)?),
                Measured::Float(_) | Measured::Score => Value::Float(row.get(column)?),
            })
        };
        let total: f64 = row.get("total")?;
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 numbers")]
        let avg = total / count as f64;
        Ok(Some(Spread {
            count,
            min: value("least")?,
            max: value("most")?,
            avg,
        }))
    }
}
