//! Canonical JSON (RFC 8785) of values without fractions.

use serde_json::Value;

/// Members sorted, no white space. Names of members are ASCII here, so that bytes sort as UTF-16 does
/// (section 3.2.3); texts are escaped as serde_json does, which is what section 3.2.2.2 asks for.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (number, (name, value)) in sorted.into_iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (number, value) in values.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(value, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn order_and_white_space_do_not_count_and_everything_else_does() {
        let read = |text: &str| super::text(&serde_json::from_str(text).unwrap());
        let canonical = "{\"a\":[1,null,\"x\\n\\\"\"],\"b\":{\"c\":true,\"d\":-5}}";
        let spread = " { \"b\" : {\"d\":-5, \"c\" : true}, \"a\":[ 1, null, \"x\\u000a\\\"\" ] } ";
        assert_eq!(read(spread), canonical);
        assert_eq!(read(canonical), canonical);
        assert_ne!(read("[1,2]"), read("[2,1]"));
    }
}
