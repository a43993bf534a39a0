//! Attribute lists and numbers (section 4.2).

use super::{Violation, ensure};

/// Names and values of a tag, in order.
#[derive(Debug)]
pub struct Attributes<'a> {
    list: Vec<(&'a str, &'a str)>,
}

impl<'a> Attributes<'a> {
    /// Reads the list behind the colon of a tag.
    ///
    /// # Errors
    /// A list that is not one, and a name that stands twice.
    pub fn read(text: &'a str) -> Result<Self, Violation> {
        let mut list: Vec<(&str, &str)> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let bad = || format!("4.2: {text:?} is no attribute list");
            let (name, value) = rest.split_once('=').ok_or_else(bad)?;
            let is_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
            ensure(!name.is_empty() && name.bytes().all(is_name), bad)?;
            let end = match value.strip_prefix('"') {
                Some(quoted) => quoted.find('"').map(|at| at + 2).ok_or_else(bad)?,
                None => value.find(',').unwrap_or(value.len()),
            };
            let (value, after) = value.split_at(end);
            ensure(list.iter().all(|(known, _)| *known != name), || {
                format!("4.2: {name} stands twice in {text:?}")
            })?;
            list.push((name, value));
            rest = match after.strip_prefix(',') {
                Some(more) => more,
                None if after.is_empty() => "",
                None => return Err(bad()),
            };
        }
        Ok(Self { list })
    }

    /// Refuses names that are not among these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Violation> {
        let unknown = self.list.iter().find(|(name, _)| !known.contains(name));
        match unknown {
            None => Ok(()),
            Some((name, _)) => Err(format!("4.2: attribute {name} is not expected here")),
        }
    }

    /// A value that is no quoted string.
    #[must_use]
    pub fn plain(&self, name: &str) -> Option<&'a str> {
        self.find(name).filter(|value| !value.starts_with('"'))
    }

    /// A quoted string, without its quotes.
    #[must_use]
    pub fn quoted(&self, name: &str) -> Option<&'a str> {
        self.find(name)?.strip_prefix('"')?.strip_suffix('"')
    }

    /// Decimal seconds as microseconds.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<i64>, Violation> {
        self.plain(name).map(micros).transpose()
    }

    fn find(&self, name: &str) -> Option<&'a str> {
        let found = self.list.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

/// Decimal seconds as microseconds, exactly.
pub(crate) fn micros(text: &str) -> Result<i64, Violation> {
    let bad = || format!("4.2: {text:?} is no decimal number of at most six digits");
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| {
        !digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    ensure(is_number(seconds) && is_number(fraction), bad)?;
    let padded = format!("{fraction:0<6}");
    let seconds: i64 = seconds.parse().map_err(|_| bad())?;
    let fraction: i64 = padded.parse().map_err(|_| bad())?;
    ensure(padded.len() == 6, bad)?;
    Ok(seconds * 1_000_000 + fraction)
}

/// `<length>[@<offset>]` (section 4.4.4.2); the offset must be stated.
pub(crate) fn byte_range(text: &str) -> Result<std::ops::Range<u64>, Violation> {
    let numbers = text.split_once('@').and_then(|(length, offset)| {
        let offset: u64 = offset.parse().ok()?;
        Some(offset..offset.checked_add(length.parse().ok()?)?)
    });
    numbers
        .filter(|range| !range.is_empty())
        .ok_or_else(|| format!("4.4.4.2: {text:?} is no length@offset"))
}
