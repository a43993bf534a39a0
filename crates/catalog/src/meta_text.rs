//! Full text over the texts and the raw data of documents.
//!
//! Words are split and folded here ([`crate::text`]) and given to the databases as they are, so both find
//! the same: FTS5 with a tokenizer that splits at spaces only, `tsvector` made of an array of words.

use crate::Error;
use crate::bulk::{Kind, Rows, Target};
use crate::meta::Document;
use crate::meta_native_rows::delete_of;
use crate::sql::{Dialect, Tx};
use crate::text::words;
use sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use std::collections::BTreeSet;

/// Characters of a word that are looked at; a longer one is its beginning.
const WORD_CHARACTERS: usize = 64;
/// Most bytes of the different words of one document: a `tsvector` holds 1 MiB. Further words are not
/// found.
const MOST_WORD_BYTES: usize = 512 << 10;
/// Shortest beginning of a word that can be looked for, in characters: shorter ones begin most words.
const SHORTEST_PREFIX: usize = 2;

/// What is looked for in the texts of a document; all of it has to be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextQuery {
    /// As it was written.
    source: String,
    /// Whole words, folded.
    words: BTreeSet<String>,
    /// Beginnings of words, folded.
    prefixes: BTreeSet<String>,
    /// Words that stand side by side in one text.
    phrases: Vec<Vec<String>>,
}

impl TextQuery {
    /// Reads what a person writes: words, of which all have to occur; `begin*` for words that begin so;
    /// `"two words"` for words side by side in one text. [`Error::Invalid`] if that names no word.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut query = Self {
            source: text.to_owned(),
            ..Self::default()
        };
        for (n, part) in text.split('"').enumerate() {
            // Every second part stands between quotation marks.
            if n % 2 == 1 {
                let phrase: Vec<String> = words(part).map(|word| cut(&word)).collect();
                query.words.extend(phrase.iter().cloned());
                if phrase.len() > 1 {
                    query.phrases.push(phrase);
                }
            } else {
                part.split_whitespace().try_for_each(|t| query.add(t))?;
            }
        }
        if query.words.is_empty() && query.prefixes.is_empty() {
            return Err(Error::Invalid("the text names no word".into()));
        }
        Ok(query)
    }

    /// The text that [`TextQuery::parse`] was given.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    fn add(&mut self, token: &str) -> Result<(), Error> {
        let mut found: Vec<String> = words(token).map(|word| cut(&word)).collect();
        if token.ends_with('*')
            && let Some(prefix) = found.pop()
        {
            if prefix.chars().count() < SHORTEST_PREFIX {
                let text =
                    format!("{prefix}* is too short, give {SHORTEST_PREFIX} letters or more");
                return Err(Error::Invalid(text));
            }
            self.prefixes.insert(prefix);
        }
        self.words.extend(found);
        Ok(())
    }

    /// Whether the words of a document have all of it.
    pub(crate) fn matches(&self, words: &TextWords) -> bool {
        let begins = |prefix: &String| {
            let mut from = words.has.range(prefix.clone()..);
            from.next()
                .is_some_and(|word| word.starts_with(prefix.as_str()))
        };
        let has_phrase = |phrase: &Vec<String>| {
            let is_it = |some: &[String]| some == phrase.as_slice();
            words
                .texts
                .iter()
                .any(|text| text.windows(phrase.len()).any(is_it))
        };
        self.words.iter().all(|word| words.has.contains(word))
            && self.prefixes.iter().all(begins)
            && self.phrases.iter().all(has_phrase)
    }

    /// How often it goes through the words of a document.
    pub(crate) const fn passes(&self) -> usize {
        self.phrases.len() + 1
    }

    /// How many parts of a filter it stands for.
    pub(crate) fn parts(&self) -> usize {
        self.words.len() + self.prefixes.len() + self.phrases.len()
    }

    /// The query in the language of the database. Words are letters and digits, so nothing in them can
    /// end the quotes.
    fn expression(&self, dialect: Dialect) -> String {
        let (quote, and, prefix) = match dialect {
            Dialect::Sqlite => ('"', " AND ", "*"),
            Dialect::Postgres => ('\'', " & ", ":*"),
        };
        let whole = self
            .words
            .iter()
            .map(|word| format!("{quote}{word}{quote}"));
        let begun = self
            .prefixes
            .iter()
            .map(|word| format!("{quote}{word}{quote}{prefix}"));
        whole.chain(begun).collect::<Vec<_>>().join(and)
    }

    /// The rows of `meta_text` that have all its words and beginnings.
    pub(crate) fn rows(&self, dialect: Dialect) -> SelectStatement {
        let expression = Expr::val(self.expression(dialect));
        let (key, has_words) = match dialect {
            Dialect::Sqlite => (
                "rowid",
                Expr::cust_with_exprs("meta_text MATCH ?", [expression]),
            ),
            Dialect::Postgres => (
                "document",
                Expr::cust_with_exprs("words @@ CAST($1 AS tsquery)", [expression]),
            ),
        };
        Query::select()
            .expr_as(Expr::col(key), "document")
            .from("meta_text")
            .and_where(has_words)
            .take()
    }

    /// Whether a row of `meta_document` has all of it.
    pub(crate) fn condition(&self, dialect: Dialect) -> Expr {
        let number = match dialect {
            // The sign keeps SQLite from looking up every document that has the words, in no order: it
            // makes a set of them and goes on in the order of the search.
            Dialect::Sqlite => Expr::cust("+meta_document.number"),
            Dialect::Postgres => Expr::col(("meta_document", "number")),
        };
        let has_words = number.in_subquery(self.rows(dialect));
        let has_phrase = |phrase: &Vec<String>| {
            let part = format!(" {} ", phrase.join(" "));
            let field = |column| Expr::col(("meta_field", column));
            let in_field = Query::select()
                .expr(Expr::cust("1"))
                .from("meta_field")
                .and_where(field("document").equals(("meta_document", "number")))
                .and_where(field("kind").eq("string"))
                .and_where(dialect.contains(field("words"), part.clone()))
                .take();
            let raw = Expr::col(("meta_document", "raw_words"));
            let in_raw = raw.clone().is_not_null().and(dialect.contains(raw, part));
            in_raw.or(dialect.exists(in_field))
        };
        self.phrases
            .iter()
            .map(has_phrase)
            .fold(has_words, |all, next| all.and(next))
    }
}

/// The words of the texts of a document.
#[derive(Debug)]
pub(crate) struct TextWords {
    texts: Vec<Vec<String>>,
    has: BTreeSet<String>,
}

impl TextWords {
    pub(crate) fn of(document: &Document) -> Self {
        let texts: Vec<Vec<String>> = texts_of(document)
            .map(|text| words(text).map(|word| cut(&word)).collect())
            .collect();
        let has = texts.iter().flatten().cloned().collect();
        Self { texts, has }
    }
}

fn cut(word: &str) -> String {
    word.chars().take(WORD_CHARACTERS).collect()
}

/// What full text is about.
fn texts_of(document: &Document) -> impl Iterator<Item = &String> {
    document.string.values().chain(&document.raw_data)
}

/// The different words of a document, with a space between each two; empty if it has none.
fn words_of(document: &Document) -> String {
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for word in texts_of(document).flat_map(|text| words(text)) {
        let word = cut(&word);
        bytes += word.len();
        if bytes > MOST_WORD_BYTES {
            break;
        }
        if let Some(known) = seen.replace(word) {
            bytes -= known.len();
        }
    }
    seen.into_iter().collect::<Vec<_>>().join(" ")
}

/// Writes what full text searches read; `replaced` are the numbers of those that may have some.
pub(crate) async fn put_words(
    tx: &mut Tx,
    documents: &[(i64, &Document)],
    replaced: &[i64],
) -> Result<(), Error> {
    let rows: Vec<(i64, String)> = documents
        .iter()
        .map(|(number, document)| (*number, words_of(document)))
        .filter(|(_, words)| !words.is_empty())
        .collect();
    match tx.dialect() {
        Dialect::Sqlite if !replaced.is_empty() => {
            let rowid = Expr::col("rowid");
            let delete = Query::delete()
                .from_table("meta_text")
                .and_where(tx.dialect().is_one_of(rowid, replaced))
                .take();
            tx.execute(&delete).await?;
        }
        Dialect::Sqlite => {}
        Dialect::Postgres => delete_of(tx, "meta_text", replaced).await?,
    }
    let mut inserted = Rows::new(match tx.dialect() {
        Dialect::Sqlite => SQLITE_TEXT,
        Dialect::Postgres => POSTGRES_TEXT,
    });
    for (number, words) in rows {
        inserted.push([number.into(), words.into()]);
    }
    tx.insert(&inserted).await.map(drop)
}

const SQLITE_TEXT: Target = Target {
    table: "meta_text",
    columns: &[("rowid", Kind::Number), ("words", Kind::Words)],
    tail: "",
};
const POSTGRES_TEXT: Target = Target {
    table: "meta_text",
    columns: &[("document", Kind::Number), ("words", Kind::Words)],
    tail: "ON CONFLICT (document) DO UPDATE SET words = excluded.words",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(text: &str) -> [String; 2] {
        let query = TextQuery::parse(text).unwrap();
        [Dialect::Sqlite, Dialect::Postgres].map(|dialect| query.expression(dialect))
    }

    #[test]
    fn words_beginnings_and_phrases_are_told_apart() {
        let query = TextQuery::parse("Red \"blue CAR\" gat* x-12*").unwrap();
        let set = |words: &[&str]| {
            words
                .iter()
                .map(|w| (*w).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(query.words, set(&["red", "blue", "car", "x"]));
        assert_eq!(query.prefixes, set(&["gat", "12"]));
        assert_eq!(query.phrases, [["blue", "car"]]);
        for short in ["g*", "x-1*"] {
            assert!(TextQuery::parse(short).is_err(), "{short}");
        }
    }

    #[test]
    fn nothing_can_end_the_quotes() {
        let [sqlite, postgres] = expression("a' OR \"x\" NEAR(b) :* | ! & (c)");
        assert_eq!(sqlite, r#""a" AND "b" AND "c" AND "near" AND "or" AND "x""#);
        assert_eq!(postgres, "'a' & 'b' & 'c' & 'near' & 'or' & 'x'");
    }

    #[test]
    fn a_text_without_a_word_is_refused() {
        for text in ["", "  ", "\"\"", "* - '", "\u{301}"] {
            assert!(TextQuery::parse(text).is_err(), "{text:?}");
        }
    }
}
