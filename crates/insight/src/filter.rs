//! The filter language of contract section 11.3.
//!
//! ```text
//! node := {"and": [node…]} | {"or": [node…]} | {"not": node | [node…]} | leaf
//! leaf := {"field": path, op: value [, op: value …]}
//! path := timestamp | id | raw_data | long.<name> | float.<name> | string.<name>
//! op   := eq | ne | neq | gt | gte | lt | lte | in | words_in | exists
//! ```
//!
//! Several members of one node are joined by AND. The native face knows more:
//!
//! ```text
//! node := … | {"object": leaf | [leaf…]} | {"text": words}
//! path := … | frame | model.name | model.version | objects.label | objects.score | objects.track | objects.region
//! op   := … | intersects
//! ```
//!
//! A leaf on `objects.…` holds if any object meets it; `object` wants one object that meets all, with the
//! paths `label`, `score`, `track` and `region`.

use crate::Error;
use crate::json::{self, ReadTime, clip};
use crate::objects::read_box;
use framewell_catalog::meta::{Field, Filter, ObjectField, Region, Sort, Test, TextQuery, Value};
use serde_json::{Map, Value as Json};

/// Deepest nesting of a filter.
pub const MAX_DEPTH: usize = 16;
/// Most tests and compared values of a filter together.
pub const MAX_TESTS: usize = 1_000;
/// Longest text that is looked for, in bytes.
pub const MAX_SEARCH_BYTES: usize = 1_000;
/// Most tests of words in a filter that every new document is compared with, in memory.
const MAX_WORD_TESTS: usize = 16;
/// Most sort keys.
pub const MAX_SORT_KEYS: usize = 8;

/// Reads the `filter` member of a search; absent, `null` and `{}` match everything. Depth and size
/// are bounded.
pub fn parse_filter(filter: Option<&Json>, read_time: ReadTime) -> Result<Filter, Error> {
    parse(filter, read_time, Grammar::Compatible)
}

/// As [`parse_filter`], with what only the native face knows.
pub fn parse_native_filter(filter: Option<&Json>, read_time: ReadTime) -> Result<Filter, Error> {
    parse(filter, read_time, Grammar::Native)
}

fn parse(filter: Option<&Json>, read_time: ReadTime, grammar: Grammar) -> Result<Filter, Error> {
    let mut parser = Parser {
        read_time,
        tests_left: MAX_TESTS,
        grammar,
    };
    match filter {
        None | Some(Json::Null) => Ok(Filter::And(Vec::new())),
        Some(node) => parser.node(node, 0),
    }
}

/// Whether a filter matches every document because it tests nothing.
#[must_use]
pub fn matches_everything(filter: &Filter) -> bool {
    matches!(filter, Filter::And(parts) if parts.iter().all(matches_everything))
}

/// Refuses a filter that costs too much where each new document is compared with it: of a stream, a webhook or a
/// rule.
pub(crate) fn check_word_tests(filter: &Filter) -> Result<(), Error> {
    let tests = filter.word_tests();
    if tests > MAX_WORD_TESTS {
        return invalid(format!(
            "the filter looks for words {tests} times (words_in, text and its phrases); each new document is compared with it, so {MAX_WORD_TESTS} times is the most"
        ));
    }
    Ok(())
}

/// Reads the `sort` member: field names with an optional `-`. Absent sorts by time, oldest first.
pub fn parse_sort(sort: Option<&Json>) -> Result<Vec<Sort>, Error> {
    let keys: Vec<&Json> = match sort {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(keys)) => keys.iter().collect(),
        Some(key) => vec![key],
    };
    if keys.len() > MAX_SORT_KEYS {
        return invalid(format!("sort takes {MAX_SORT_KEYS} keys at most"));
    }
    if keys.is_empty() {
        return Ok(vec![Sort {
            field: Field::Timestamp,
            is_descending: false,
        }]);
    }
    keys.into_iter().map(sort_key).collect()
}

fn sort_key(key: &Json) -> Result<Sort, Error> {
    let Some(text) = key.as_str() else {
        return invalid("a sort key is a text".to_owned());
    };
    let (path, is_descending) = match text.strip_prefix('-') {
        Some(path) => (path, true),
        None => (text, false),
    };
    Ok(Sort {
        field: field(path)?,
        is_descending,
    })
}

/// Whose words are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grammar {
    Compatible,
    Native,
}

struct Parser {
    read_time: ReadTime,
    tests_left: usize,
    grammar: Grammar,
}

impl Parser {
    fn node(&mut self, node: &Json, depth: usize) -> Result<Filter, Error> {
        if depth > MAX_DEPTH {
            return invalid(format!("the filter is nested deeper than {MAX_DEPTH}"));
        }
        let Some(object) = node.as_object() else {
            return invalid("a filter node is a JSON object".to_owned());
        };
        let mut parts = Vec::new();
        if let Some(children) = object.get("and") {
            parts.push(Filter::And(self.children("and", children, depth)?));
        }
        if let Some(children) = object.get("or") {
            parts.push(Filter::Or(self.children("or", children, depth)?));
        }
        if let Some(children) = object.get("not") {
            let inner = match children {
                Json::Array(_) => Filter::Or(self.children("not", children, depth)?),
                child => self.node(child, depth + 1)?,
            };
            parts.push(Filter::Not(Box::new(inner)));
        }
        if self.grammar == Grammar::Native {
            self.native_parts(object, &mut parts)?;
        }
        self.leaves(object, &mut parts)?;
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Filter::And(parts),
        })
    }

    fn children(&mut self, word: &str, nodes: &Json, depth: usize) -> Result<Vec<Filter>, Error> {
        let Some(nodes) = nodes.as_array() else {
            return invalid(format!("{word:?} takes an array of filter nodes"));
        };
        nodes
            .iter()
            .map(|node| {
                self.spend(1)?;
                self.node(node, depth + 1)
            })
            .collect()
    }

    /// `object` and `text`.
    fn native_parts(
        &mut self,
        node: &Map<String, Json>,
        parts: &mut Vec<Filter>,
    ) -> Result<(), Error> {
        if let Some(leaves) = node.get("object") {
            let leaves = match leaves {
                Json::Array(leaves) => leaves.as_slice(),
                leaf => std::slice::from_ref(leaf),
            };
            let mut tests = Vec::new();
            for leaf in leaves {
                self.spend(1)?;
                self.object_tests(leaf, &mut tests)?;
            }
            parts.push(Filter::Object(tests));
        }
        if let Some(text) = node.get("text") {
            self.spend(1)?;
            parts.push(text_filter(text)?);
        }
        Ok(())
    }

    fn object_tests(
        &mut self,
        leaf: &Json,
        tests: &mut Vec<(ObjectField, Test)>,
    ) -> Result<(), Error> {
        let path = leaf.get("field").and_then(Json::as_str);
        let Some((path, members)) = path.zip(leaf.as_object()) else {
            return invalid("\"object\" takes leaves, each with a field".to_owned());
        };
        let Some(object_field) = object_field(path) else {
            let shown = clip(path);
            return invalid(format!(
                "objects have no field {shown:?}, but label, score, track and region"
            ));
        };
        let field = Field::Object(object_field);
        let before = tests.len();
        for (op, operand) in members.iter().filter(|(name, _)| *name != "field") {
            self.spend(1)?;
            tests.push((object_field, self.test(&field, path, op, operand)?));
        }
        if tests.len() == before {
            return invalid(format!("field {path:?} is not compared with anything"));
        }
        Ok(())
    }

    /// The tests of a leaf, if the node is one.
    fn leaves(&mut self, node: &Map<String, Json>, parts: &mut Vec<Filter>) -> Result<(), Error> {
        let is_native = self.grammar == Grammar::Native;
        let is_op = |name: &str| match name {
            "field" | "and" | "or" | "not" => false,
            "object" | "text" => !is_native,
            _ => true,
        };
        let Some(path) = node.get("field") else {
            return match node.keys().find(|name| is_op(name)) {
                Some(name) => invalid(format!("{:?} stands without a field", clip(name))),
                None => Ok(()),
            };
        };
        let Some(path) = path.as_str() else {
            return invalid("field is not a text".to_owned());
        };
        let field = match native_field(path) {
            Some(field) if is_native => field,
            _ => field(path)?,
        };
        let before = parts.len();
        for (op, operand) in node.iter().filter(|(name, _)| is_op(name)) {
            self.spend(1)?;
            let test = self.test(&field, path, op, operand)?;
            parts.push(Filter::Leaf(field.clone(), test));
        }
        if parts.len() == before {
            return invalid(format!(
                "field {:?} is not compared with anything",
                clip(path)
            ));
        }
        Ok(())
    }

    fn test(&mut self, field: &Field, path: &str, op: &str, operand: &Json) -> Result<Test, Error> {
        if *field == Field::Object(ObjectField::Region) {
            return region_test(path, op, operand);
        }
        let has_words = matches!(field, Field::Id | Field::RawData | Field::String(_));
        let is_number = matches!(
            field,
            Field::Timestamp | Field::Long(_) | Field::Float(_) | Field::Object(ObjectField::Score)
        );
        if !is_number && matches!(op, "gt" | "gte" | "lt" | "lte") {
            return invalid(format!("{op} does not work on the text {:?}", clip(path)));
        }
        Ok(match op {
            "eq" => Test::Eq(self.value(field, path, operand)?),
            "ne" | "neq" => Test::Ne(self.value(field, path, operand)?),
            "gt" => Test::Gt(self.value(field, path, operand)?),
            "gte" => Test::Gte(self.value(field, path, operand)?),
            "lt" => Test::Lt(self.value(field, path, operand)?),
            "lte" => Test::Lte(self.value(field, path, operand)?),
            "in" => Test::In(self.values(field, path, operand)?),
            "words_in" if has_words => Test::WordsIn(self.words(path, operand)?),
            "words_in" => return invalid(format!("words_in needs a text, not {:?}", clip(path))),
            "exists" => Test::Exists(exists(operand)?),
            _ => return invalid(format!("unknown operator {:?}", clip(op))),
        })
    }

    fn values(&mut self, field: &Field, path: &str, operand: &Json) -> Result<Vec<Value>, Error> {
        let Some(values) = operand.as_array() else {
            return invalid("in takes an array".to_owned());
        };
        self.spend(values.len())?;
        values
            .iter()
            .map(|value| self.value(field, path, value))
            .collect()
    }

    fn words(&mut self, path: &str, operand: &Json) -> Result<Vec<String>, Error> {
        let texts: Option<Vec<&str>> = match operand {
            Json::String(text) => Some(vec![text]),
            Json::Array(texts) => texts.iter().map(Json::as_str).collect(),
            _ => None,
        };
        let words: Vec<String> = texts
            .iter()
            .flatten()
            .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        if words.is_empty() {
            return invalid(format!("words_in of {:?} names no word", clip(path)));
        }
        self.spend(words.len())?;
        Ok(words)
    }

    fn value(&self, field: &Field, path: &str, operand: &Json) -> Result<Value, Error> {
        let value = match field {
            Field::Timestamp => operand.as_str().and_then(self.read_time).map(Value::Time),
            Field::Id | Field::RawData | Field::String(_) => json::text(operand).map(Value::Text),
            Field::Frame
            | Field::ModelName
            | Field::ModelVersion
            | Field::Object(ObjectField::Label | ObjectField::Track) => {
                json::text(operand).map(Value::Text)
            }
            Field::Object(ObjectField::Region) => None,
            Field::Float(_) | Field::Object(ObjectField::Score) => {
                json::float(operand).map(Value::Float)
            }
            // A fraction cannot equal an integer, but 2.5 is a fair bound for gt and lt.
            Field::Long(_) => json::long(operand)
                .map(Value::Long)
                .or_else(|| json::float(operand).map(Value::Float)),
        };
        value.ok_or_else(|| {
            let shown = clip(&operand.to_string());
            Error::Invalid(format!("{:?} cannot be compared with {shown}", clip(path)))
        })
    }

    fn spend(&mut self, tests: usize) -> Result<(), Error> {
        match self.tests_left.checked_sub(tests) {
            Some(left) => {
                self.tests_left = left;
                Ok(())
            }
            None => invalid(format!("the filter has more than {MAX_TESTS} tests")),
        }
    }
}

/// The fields that only the native face knows.
fn native_field(path: &str) -> Option<Field> {
    match path {
        "frame" => Some(Field::Frame),
        "model.name" => Some(Field::ModelName),
        "model.version" => Some(Field::ModelVersion),
        _ => {
            let name = path.strip_prefix("objects.")?;
            object_field(name).map(Field::Object)
        }
    }
}

fn object_field(name: &str) -> Option<ObjectField> {
    match name {
        "label" => Some(ObjectField::Label),
        "score" => Some(ObjectField::Score),
        "track" => Some(ObjectField::Track),
        "region" => Some(ObjectField::Region),
        _ => None,
    }
}

fn region_test(path: &str, op: &str, operand: &Json) -> Result<Test, Error> {
    match op {
        "exists" => Ok(Test::Exists(exists(operand)?)),
        "intersects" => read_box(operand, "intersects")
            .map(|bounds| Test::Intersects(Region::from(bounds)))
            .map_err(Error::Invalid),
        _ => invalid(format!(
            "{:?} does not work on {:?}, only intersects and exists",
            clip(op),
            clip(path)
        )),
    }
}

fn exists(operand: &Json) -> Result<bool, Error> {
    let wanted = operand.as_bool();
    wanted.ok_or_else(|| Error::Invalid("exists takes true or false".to_owned()))
}

/// Full text: what a person writes.
pub fn text_filter(text: &Json) -> Result<Filter, Error> {
    let Some(text) = text.as_str() else {
        return invalid("text is not a text".to_owned());
    };
    if text.len() > MAX_SEARCH_BYTES {
        return invalid(format!("text is longer than {MAX_SEARCH_BYTES} bytes"));
    }
    let query = TextQuery::parse(text).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(Filter::Text(query))
}

fn field(path: &str) -> Result<Field, Error> {
    let named = |prefix: &str| {
        path.strip_prefix(prefix)
            .filter(|name| !name.is_empty() && name.len() <= crate::MAX_NAME_BYTES)
            .map(str::to_owned)
    };
    let field = match path {
        "timestamp" => Some(Field::Timestamp),
        "id" => Some(Field::Id),
        "raw_data" => Some(Field::RawData),
        _ => named("long.")
            .map(Field::Long)
            .or_else(|| named("float.").map(Field::Float))
            .or_else(|| named("string.").map(Field::String)),
    };
    field.ok_or_else(|| Error::Invalid(format!("unknown field {:?}", clip(path))))
}

fn invalid<T>(message: String) -> Result<T, Error> {
    Err(Error::Invalid(message))
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
