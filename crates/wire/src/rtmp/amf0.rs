//! AMF0 ("Action Message Format -- AMF 0", Adobe 2007): the values that RTMP commands are made of.

use super::ProtocolError;

/// Values inside values: commands of real clients have two levels.
const MAX_DEPTH: usize = 8;
/// Values of one message: `connect` of real clients has about twenty.
const MAX_VALUES: usize = 512;

/// A value. Kinds that no command uses (references, XML, typed objects) are refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number; all of them are floats.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A text, short or long.
    Text(String),
    /// Members in the order they came.
    Object(Vec<(String, Value)>),
    /// As an object; writers put the number of members before it.
    EcmaArray(Vec<(String, Value)>),
    /// Values in their order.
    Array(Vec<Value>),
    /// Nothing.
    Null,
    /// Not even nothing.
    Undefined,
    /// Milliseconds since 1970.
    Date(f64),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An object of these members.
    pub fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub const fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) | Self::EcmaArray(members) => members
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// All values of a message body.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, ProtocolError> {
    let mut reader = Reader {
        rest: bytes,
        left: MAX_VALUES,
    };
    let mut values = Vec::new();
    while !reader.rest.is_empty() {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Values that may still come.
    left: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(ProtocolError::Amf("cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("as many as were asked for"))
    }

    fn number(&mut self) -> Result<f64, ProtocolError> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    fn text(&mut self, length: usize) -> Result<String, ProtocolError> {
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn short_text(&mut self) -> Result<String, ProtocolError> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(length.into())
    }

    fn value(&mut self, depth: usize) -> Result<Value, ProtocolError> {
        if depth >= MAX_DEPTH {
            return Err(ProtocolError::Amf("nested too deep"));
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(ProtocolError::Amf("too many values"))?;
        let [marker] = self.array()?;
        Ok(match marker {
            0x00 => Value::Number(self.number()?),
            0x01 => Value::Boolean(self.array::<1>()?[0] != 0),
            0x02 => Value::Text(self.short_text()?),
            0x03 => Value::Object(self.members(depth)?),
            0x05 => Value::Null,
            0x06 | 0x0d => Value::Undefined,
            0x08 => {
                // The number of members is a hint; the end marker counts.
                self.array::<4>()?;
                Value::EcmaArray(self.members(depth)?)
            }
            0x0a => {
                let count = u32::from_be_bytes(self.array()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::Array(values)
            }
            0x0b => {
                let millis = self.number()?;
                // Time zone, reserved.
                self.array::<2>()?;
                Value::Date(millis)
            }
            0x0c => {
                let length = u32::from_be_bytes(self.array()?);
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Value::Text(self.text(length)?)
            }
            _ => return Err(ProtocolError::Amf("of an unknown kind")),
        })
    }

    fn members(&mut self, depth: usize) -> Result<Vec<(String, Value)>, ProtocolError> {
        const END: u8 = 0x09;
        let mut members = Vec::new();
        loop {
            let name = self.short_text()?;
            if name.is_empty() && self.rest.first() == Some(&END) {
                self.take(1)?;
                return Ok(members);
            }
            members.push((name, self.value(depth + 1)?));
        }
    }
}

/// The bytes of some values.
pub fn encode_all(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    for value in values {
        encode(&mut out, value);
    }
    out
}

fn encode(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) => {
            out.push(0x00);
            out.extend(number.to_be_bytes());
        }
        Value::Boolean(is_true) => out.extend([0x01, u8::from(*is_true)]),
        Value::Text(text) => match u16::try_from(text.len()) {
            Ok(_) => {
                out.push(0x02);
                encode_name(out, text);
            }
            Err(_) => {
                out.push(0x0c);
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                out.extend(length.to_be_bytes());
                out.extend(text.bytes().take(length as usize));
            }
        },
        Value::Object(members) => {
            out.push(0x03);
            encode_members(out, members);
        }
        Value::EcmaArray(members) => {
            out.push(0x08);
            out.extend(u32::try_from(members.len()).unwrap_or(0).to_be_bytes());
            encode_members(out, members);
        }
        Value::Array(values) => {
            out.push(0x0a);
            out.extend(u32::try_from(values.len()).unwrap_or(0).to_be_bytes());
            for value in values {
                encode(out, value);
            }
        }
        Value::Null => out.push(0x05),
        Value::Undefined => out.push(0x06),
        Value::Date(millis) => {
            out.push(0x0b);
            out.extend(millis.to_be_bytes());
            out.extend([0, 0]);
        }
    }
}

/// A text of at most 65,535 bytes; what is longer is cut.
fn encode_name(out: &mut Vec<u8>, name: &str) {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    out.extend(length.to_be_bytes());
    out.extend(name.bytes().take(length.into()));
}

fn encode_members(out: &mut Vec<u8>, members: &[(String, Value)]) {
    for (name, value) in members {
        encode_name(out, name);
        encode(out, value);
    }
    out.extend([0, 0, 0x09]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_command_is_written_as_the_standard_says() {
        let values = [
            Value::text("_result"),
            Value::Number(1.0),
            Value::object([("level", Value::text("status"))]),
            Value::Null,
        ];
        let expected =
            b"\x02\0\x07_result\0\x3f\xf0\0\0\0\0\0\0\x03\0\x05level\x02\0\x06status\0\0\x09\x05";
        assert_eq!(encode_all(&values), expected);
        assert_eq!(decode_all(expected).unwrap(), values);
    }

    #[test]
    fn deep_and_wide_values_are_refused() {
        let mut deep = b"\x0a\0\0\0\x01".repeat(20);
        deep.push(0x05);
        assert!(decode_all(&deep).is_err());
        assert!(decode_all(&[0x05; 513]).is_err());
        assert!(decode_all(&[0x05; 512]).is_ok());
        // A count that nothing follows costs nothing.
        assert!(decode_all(b"\x0a\xff\xff\xff\xff").is_err());
        assert!(decode_all(b"\x0c\xff\xff\xff\xffabc").is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<f64>()
                .prop_filter("equal to itself", |n| !n.is_nan())
                .prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            "[a-z]{0,9}".prop_map(Value::Text),
            Just(Value::Null),
            Just(Value::Undefined),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let members = prop::collection::vec(("[a-z]{1,6}", inner.clone()), 0..4);
            prop_oneof![
                members.clone().prop_map(Value::Object),
                members.prop_map(Value::EcmaArray),
                prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(value(), 0..5)) {
            prop_assert_eq!(decode_all(&encode_all(&values)).unwrap(), values);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode_all(&bytes).ok();
        }
    }
}
