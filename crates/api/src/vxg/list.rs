//! Lists: paging and the envelope (contract section 2.6).

use crate::error::ApiError;
use crate::params::Params;
use axum::Json;
use axum::http::Uri;
use framewell_catalog::Slice;
use framewell_model::WallTime;
use serde_json::{Value, json};

/// Default page of a list.
pub(crate) const DEFAULT_LIMIT: i64 = 20;
/// Largest page of lists whose rows cost a token each.
pub(crate) const MAX_LIMIT: i64 = 1_000;
/// Largest page of records and documents.
pub(crate) const MAX_LONG_LIMIT: i64 = 10_000;

/// What makes up a list request.
#[derive(Debug, Clone)]
pub(crate) struct ListRequest {
    path: String,
    params: Params,
    pub(crate) slice: Slice,
}

impl ListRequest {
    /// Reads `limit` and `offset`; a limit beyond `max` is lowered to it, and the answer says so.
    pub(crate) fn read(
        uri: &Uri,
        params: &Params,
        default: i64,
        max: i64,
    ) -> Result<Self, ApiError> {
        let limit: i64 = params.number("limit")?.unwrap_or(default);
        let offset: i64 = params.number("offset")?.unwrap_or(0);
        if limit < 0 || offset < 0 {
            return Err(ApiError::invalid("limit and offset may not be negative"));
        }
        Ok(Self {
            path: format!("{}/", uri.path().trim_end_matches('/')),
            params: params.clone(),
            slice: Slice {
                limit: limit.min(max),
                offset,
            },
        })
    }

    /// The same with a lower limit, which the answer then says, if a page was cut to so many objects
    /// because more would have been too long together.
    pub(crate) fn cut_to(mut self, shown: usize, total: i64) -> Self {
        let shown = i64::try_from(shown).unwrap_or(i64::MAX);
        let Slice { limit, offset } = self.slice;
        if (1..limit).contains(&shown) && offset.saturating_add(shown) < total {
            self.slice.limit = shown;
        }
        self
    }

    /// The answer; `expire` is the end of the URLs in the list.
    pub(crate) fn answer(
        &self,
        objects: Vec<Value>,
        total: i64,
        expire: Option<WallTime>,
    ) -> Json<Value> {
        let Slice { limit, offset } = self.slice;
        let after = offset.saturating_add(limit);
        let next = (limit > 0 && after < total).then(|| self.link(after));
        let previous = (limit > 0 && offset > 0).then(|| self.link((offset - limit).max(0)));
        let mut meta = json!({
            "limit": limit,
            "offset": offset,
            "total_count": total,
            "next": next,
            "previous": previous,
        });
        if let Some(expire) = expire {
            meta["expire"] = expire.to_naive_text().into();
        }
        Json(json!({ "meta": meta, "objects": objects }))
    }

    /// Server-relative, with all parameters: some clients follow it without a header, so `token=`
    /// has to be in it if it was the credential.
    fn link(&self, offset: i64) -> String {
        let query = self.params.with(&[
            ("limit", self.slice.limit.to_string()),
            ("offset", offset.to_string()),
        ]);
        format!("{}?{query}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str, total: i64) -> Value {
        let uri: Uri = format!("/api/v3/channels?{query}").parse().unwrap();
        let params = Params::parse(Some(query));
        let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LIMIT).unwrap();
        list.answer(Vec::new(), total, None).0["meta"].clone()
    }

    #[test]
    fn next_is_relative_keeps_everything_and_ends() {
        let first = page("token=share.a&limit=2&name=x", 5);
        assert_eq!(
            first["next"],
            "/api/v3/channels/?token=share.a&name=x&limit=2&offset=2"
        );
        assert_eq!(first["previous"], Value::Null);
        let last = page("limit=2&offset=4", 5);
        assert_eq!(last["next"], Value::Null);
        assert_eq!(last["previous"], "/api/v3/channels/?limit=2&offset=2");
        assert_eq!(page("", 20)["next"], Value::Null);
        assert_eq!(page("limit=0", 20)["next"], Value::Null);
    }

    #[test]
    fn a_page_that_was_cut_leads_to_what_was_left_out() {
        let uri = Uri::from_static("/x");
        let cut = |shown, total| {
            let params = Params::parse(Some("limit=4&offset=4"));
            let list = ListRequest::read(&uri, &params, DEFAULT_LIMIT, MAX_LIMIT).unwrap();
            let page = list.cut_to(shown, total).answer(Vec::new(), total, None);
            page.0["meta"]["next"].clone()
        };
        assert_eq!(cut(3, 8), "/x/?limit=3&offset=7");
        assert_eq!(cut(4, 9), "/x/?limit=4&offset=8");
        assert_eq!((cut(3, 7), cut(0, 0)), (Value::Null, Value::Null));
    }

    #[test]
    fn limits_are_lowered_and_nonsense_is_refused() {
        assert_eq!(page("limit=5000", 1)["limit"], MAX_LIMIT);
        for query in ["limit=-1", "offset=-1", "limit=many"] {
            let params = Params::parse(Some(query));
            assert!(ListRequest::read(&Uri::from_static("/x"), &params, 20, 20).is_err());
        }
    }
}
