//! Query parameters as old clients send them: any order, unknown ones ignored, a nameless
//! cache-buster somewhere (contract section 2.8).

use crate::error::ApiError;
use crate::visitor::Visitor;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::str::FromStr;
use url::form_urlencoded;

/// Pairs as the end of a query that has begun: `&name=value` for each, empty for none.
pub(crate) fn query_tail<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    if query.is_empty() {
        query
    } else {
        format!("&{query}")
    }
}

/// All parameters of a request, decoded, in order, and who sent them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    visitor: Option<Visitor>,
}

impl Params {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self {
            pairs: pairs.into_owned().collect(),
            visitor: None,
        }
    }

    /// The other end of the connection: the client, or the proxy in front of the server.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.visitor.as_ref().map(Visitor::address)
    }

    /// A ticket among them is good.
    pub(crate) fn introduce(&self) {
        if let Some(visitor) = &self.visitor {
            visitor.introduce();
        }
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Refuses names that mean nothing here, so that a typing mistake is noticed. `token` is always
    /// known; a name without letters (`_`, or the clock as some players send it) only makes the URL new.
    pub(crate) fn only_known(&self, known: &[&str]) -> Result<(), ApiError> {
        let is_known = |name: &str| {
            name == "token"
                // Refused by the gate where it means nothing.
                || name == "stream"
                || known.contains(&name)
                || !name.chars().any(|c| c.is_ascii_alphabetic())
        };
        match self.pairs.iter().find(|(name, _)| !is_known(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let shown: String = name.chars().take(40).collect();
                Err(ApiError::invalid(format!(
                    "{shown:?} is no parameter here; there are {}",
                    known.join(", ")
                )))
            }
        }
    }

    /// `true`, `1` and the empty value are true (contract section 2.4).
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(false),
            Some("" | "1") => Ok(true),
            Some("0") => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(ApiError::invalid(format!(
                "{name} is neither true nor false"
            ))),
        }
    }

    /// A parsed value; an empty one counts as absent.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| ApiError::invalid(format!("{name} is not a valid number"))),
        }
    }

    /// A comma-separated list; empty items are dropped.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        self.get(name)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// One parameter alone, as a query text without `?`.
    pub(crate) fn only(&self, name: &str) -> String {
        let value = self.get(name).unwrap_or_default();
        form_urlencoded::Serializer::new(String::new())
            .append_pair(name, value)
            .finish()
    }

    /// The same parameters with some replaced, as a query text without `?`.
    pub(crate) fn with(&self, replaced: &[(&str, String)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let is_replaced = |key: &str| replaced.iter().any(|(name, _)| *name == key);
        for (key, value) in self.pairs.iter().filter(|(key, _)| !is_replaced(key)) {
            query.append_pair(key, value);
        }
        query.extend_pairs(replaced);
        query.finish()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            visitor: parts.extensions.get().cloned(),
            ..Self::parse(parts.uri.query())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_take_the_forms_that_clients_send() {
        let params = Params::parse(Some("a=true&b=&c=1&d=false&e=yes&1699999999"));
        assert!(
            params.flag("a").unwrap() && params.flag("b").unwrap() && params.flag("c").unwrap()
        );
        assert!(!params.flag("d").unwrap() && !params.flag("absent").unwrap());
        assert!(params.flag("e").is_err());
    }

    #[test]
    fn a_name_that_means_nothing_is_named() {
        let check = |query| Params::parse(Some(query)).only_known(&["at", "width"]);
        for query in ["", "at=now&width=3&token=x", "at=now&_=17&1699999999", "=x"] {
            assert!(check(query).is_ok(), "{query}");
        }
        let error = check("at=now&heigth=3").unwrap_err();
        assert!(error.message.contains("heigth") && error.message.contains("width"));
    }

    #[test]
    fn replacing_keeps_all_other_parameters() {
        let params = Params::parse(Some(
            "token=share.x&limit=5&start=2024-05-01+10:00:00&offset=0",
        ));
        assert_eq!(
            params.with(&[("limit", "5".into()), ("offset", "5".into())]),
            "token=share.x&start=2024-05-01+10%3A00%3A00&limit=5&offset=5"
        );
    }

    #[test]
    fn the_end_of_a_query_is_encoded_or_empty() {
        assert_eq!(query_tail([]), "");
        assert_eq!(
            query_tail([("crop", "1,2"), ("a", "&")]),
            "&crop=1%2C2&a=%26"
        );
    }

    #[test]
    fn lists_drop_empty_items() {
        assert_eq!(Params::parse(Some("meta=a,,b ,")).words("meta"), ["a", "b"]);
        assert!(Params::default().words("meta").is_empty());
    }
}
