//! The filter language of contract section 11.3.
//!
//! ```text
//! node := {"and": [node…]} | {"or": [node…]} | {"not": node | [node…]} | leaf
//! leaf := {"field": path, op: value [, op: value …]}
//! path := timestamp | id | raw_data | long.<name> | float.<name> | string.<name>
//! op   := eq | ne | neq | gt | gte | lt | lte | in | words_in | exists
//! ```
//!
//! Several members of one node are joined by AND.

use crate::Error;
use crate::json::{self, ReadTime, clip};
use framewell_catalog::meta::{Field, Filter, Sort, Test, Value};
use serde_json::{Map, Value as Json};

/// Deepest nesting of a filter.
pub const MAX_DEPTH: usize = 16;
/// Most tests and compared values of a filter together.
pub const MAX_TESTS: usize = 1_000;
/// Most sort keys.
pub const MAX_SORT_KEYS: usize = 8;

/// Reads the `filter` member of a search; absent, `null` and `{}` match everything. Depth and size
/// are bounded.
pub fn parse_filter(filter: Option<&Json>, read_time: ReadTime) -> Result<Filter, Error> {
    let mut parser = Parser {
        read_time,
        tests_left: MAX_TESTS,
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

struct Parser {
    read_time: ReadTime,
    tests_left: usize,
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

    /// The tests of a leaf, if the node is one.
    fn leaves(&mut self, node: &Map<String, Json>, parts: &mut Vec<Filter>) -> Result<(), Error> {
        let is_op = |name: &str| !matches!(name, "field" | "and" | "or" | "not");
        let Some(path) = node.get("field") else {
            return match node.keys().find(|name| is_op(name)) {
                Some(name) => invalid(format!("{:?} stands without a field", clip(name))),
                None => Ok(()),
            };
        };
        let Some(path) = path.as_str() else {
            return invalid("field is not a text".to_owned());
        };
        let field = field(path)?;
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
        let is_text = matches!(field, Field::Id | Field::RawData | Field::String(_));
        if is_text && matches!(op, "gt" | "gte" | "lt" | "lte") {
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
            "words_in" if is_text => Test::WordsIn(self.words(path, operand)?),
            "words_in" => return invalid(format!("words_in needs a text, not {:?}", clip(path))),
            "exists" => match operand.as_bool() {
                Some(wanted) => Test::Exists(wanted),
                None => return invalid("exists takes true or false".to_owned()),
            },
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
            Field::Float(_) => json::float(operand).map(Value::Float),
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
mod tests {
    use super::*;
    use framewell_model::WallTime;
    use proptest::prelude::*;
    use serde_json::json;

    fn read_time(text: &str) -> Option<WallTime> {
        text.parse().ok()
    }

    fn parse(filter: Json) -> Result<Filter, Error> {
        parse_filter(Some(&filter), read_time)
    }

    fn refusal(filter: Json) -> String {
        parse(filter).unwrap_err().to_string()
    }

    fn long(name: &str, test: Test) -> Filter {
        Filter::Leaf(Field::Long(name.into()), test)
    }

    #[test]
    fn the_filter_of_the_html_sample_is_understood() {
        let parsed = parse(json!({"and": [
            {"or": [{"field": "long.Person", "gt": 1}, {"field": "long.Vehicle", "eq": 0}]},
            {"field": "timestamp", "gte": "2024-05-01T00:00:00Z", "lte": "2024-05-02T00:00:00Z"},
            {"field": "string.type", "words_in": "note, car"},
        ]}));
        let day = |text: &str| Value::Time(text.parse().unwrap());
        let expected = Filter::And(vec![
            Filter::Or(vec![
                long("Person", Test::Gt(Value::Long(1))),
                long("Vehicle", Test::Eq(Value::Long(0))),
            ]),
            Filter::And(vec![
                Filter::Leaf(Field::Timestamp, Test::Gte(day("2024-05-01T00:00:00Z"))),
                Filter::Leaf(Field::Timestamp, Test::Lte(day("2024-05-02T00:00:00Z"))),
            ]),
            Filter::Leaf(
                Field::String("type".into()),
                Test::WordsIn(vec!["note".into(), "car".into()]),
            ),
        ]);
        assert_eq!(parsed.unwrap(), expected);
    }

    #[test]
    fn nothing_means_everything() {
        assert!(matches_everything(&parse_filter(None, read_time).unwrap()));
        assert!(matches_everything(&parse(json!(null)).unwrap()));
        assert!(matches_everything(&parse(json!({})).unwrap()));
        assert!(matches_everything(&parse(json!({"and": [{}]})).unwrap()));
        assert!(!matches_everything(&parse(json!({"or": []})).unwrap()));
        assert!(!matches_everything(
            &parse(json!({"field": "long.n", "eq": 1})).unwrap()
        ));
    }

    #[test]
    fn not_of_an_array_is_none_of_them() {
        let one = long("n", Test::Ne(Value::Long(1)));
        let two = long("m", Test::In(vec![Value::Long(2), Value::Float(2.5)]));
        assert_eq!(
            parse(json!({"not": [{"field": "long.n", "neq": "1"}, {"field": "long.m", "in": [2, 2.5]}]}))
                .unwrap(),
            Filter::Not(Box::new(Filter::Or(vec![one, two])))
        );
        assert_eq!(
            parse(json!({"not": {"field": "raw_data", "exists": true}})).unwrap(),
            Filter::Not(Box::new(Filter::Leaf(Field::RawData, Test::Exists(true))))
        );
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        assert!(refusal(json!([])).contains("JSON object"));
        assert!(refusal(json!({"field": "long.n", "like": 1})).contains("\"like\""));
        assert!(refusal(json!({"field": "bool.n", "eq": 1})).contains("\"bool.n\""));
        assert!(refusal(json!({"field": "long.", "eq": 1})).contains("unknown field"));
        assert!(refusal(json!({"eq": 1})).contains("without a field"));
        assert!(refusal(json!({"field": "long.n"})).contains("not compared"));
        assert!(refusal(json!({"field": "timestamp", "gt": ""})).contains("timestamp"));
        assert!(refusal(json!({"field": "timestamp", "gt": 5})).contains("timestamp"));
        assert!(refusal(json!({"field": "long.n", "eq": "many"})).contains("many"));
        assert!(refusal(json!({"field": "string.n", "gt": "a"})).contains("text"));
        assert!(refusal(json!({"field": "long.n", "words_in": "a"})).contains("words_in"));
        assert!(refusal(json!({"field": "string.n", "words_in": " ,"})).contains("no word"));
        assert!(refusal(json!({"and": {}})).contains("array"));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let mut deep = json!({"field": "long.n", "eq": 1});
        for _ in 0..=MAX_DEPTH {
            deep = json!({"and": [deep]});
        }
        assert!(refusal(deep).contains("nested deeper"));
        let many: Vec<i64> = (0..2_000).collect();
        assert!(refusal(json!({"field": "long.n", "in": many})).contains("1000 tests"));
        let empty: Vec<Json> = (0..2_000).map(|_| json!({})).collect();
        assert!(refusal(json!({ "and": empty })).contains("1000 tests"));
    }

    #[test]
    fn sort_keys_are_fields_with_a_sign() {
        let parsed = parse_sort(Some(&json!(["-timestamp", "long.n"]))).unwrap();
        assert!(parsed[0].is_descending && parsed[0].field == Field::Timestamp);
        assert!(!parsed[1].is_descending && parsed[1].field == Field::Long("n".into()));
        assert_eq!(parse_sort(Some(&json!("-id"))).unwrap().len(), 1);
        assert_eq!(parse_sort(None).unwrap()[0].field, Field::Timestamp);
        assert!(parse_sort(Some(&json!([5]))).is_err());
        assert!(parse_sort(Some(&json!(["-"]))).is_err());
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let words = [
            "and",
            "or",
            "not",
            "field",
            "eq",
            "in",
            "long.n",
            "timestamp",
        ];
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i64>().prop_map(|n| json!(n)),
            proptest::sample::select(words.to_vec()).prop_map(|word| json!(word)),
        ];
        leaf.prop_recursive(6, 64, 6, move |inner| {
            let key = proptest::sample::select(words.to_vec());
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                proptest::collection::vec((key, inner), 0..4).prop_map(|members| {
                    let members = members.into_iter().map(|(k, v)| (k.to_owned(), v));
                    Json::Object(members.collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_filter_panics(filter in any_json()) {
            let _outcome = parse(filter);
        }
    }
}
