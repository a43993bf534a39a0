//! The gate in front of every route: credential in, caller with a verified grant out.

use crate::AppState;
use crate::error::ApiError;
use crate::native::check_stream;
use crate::params::Params;
use crate::visitor::Visitor;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use framewell_access::Credential;
use framewell_catalog::ClipShare;
use framewell_model::{ChannelId, ErrorKind, Grant, GroupId, Principal, Right, Secret};

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No credential.
    Nothing,
    /// A ticket in the URL, checked by the handler against the very thing it opens.
    Ticket,
    /// A license key.
    Account,
    /// A credential with this right on what it addresses.
    Right(Right),
    /// The same, or in `?token=` the token of a shared clip, which the handler checks against the clip.
    ClipShareOr(Right),
}

impl Need {
    /// The right that a grant must hold.
    #[must_use]
    pub const fn right(self) -> Option<Right> {
        match self {
            Self::Nothing | Self::Ticket => None,
            Self::Account => Some(Right::Admin),
            Self::Right(right) | Self::ClipShareOr(right) => Some(right),
        }
    }
}

/// The gate of one route.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    state: AppState,
    need: Need,
    path: &'static str,
}

impl Gate {
    pub(crate) const fn new(state: AppState, need: Need, path: &'static str) -> Self {
        Self { state, need, path }
    }
}

/// Who is asking, and the right that this route was opened with.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) grant: Grant,
    right: Right,
}

impl Caller {
    /// Whether the caller may use this channel with the route's right.
    pub(crate) async fn check(&self, state: &AppState, channel: ChannelId) -> Result<(), ApiError> {
        Ok(state
            .access
            .check_channel(&self.grant, channel, self.right)
            .await?)
    }

    /// Asks again for a connection that stays open: why the caller may not use this channel any more.
    pub(crate) async fn shut_out(&self, state: &AppState, channel: ChannelId) -> Option<ApiError> {
        let recheck = async {
            state.access.recheck(&self.grant).await?;
            self.check(state, channel).await
        };
        // A database that is away for a moment shuts nobody out.
        let failed = recheck.await.err();
        failed.filter(|error: &ApiError| !error.status.is_server_error())
    }

    /// As [`Caller::check`], for `what` of this channel: the same answer for a thing of somebody else's
    /// channel as for one that does not exist.
    pub(crate) async fn check_hidden(
        &self,
        state: &AppState,
        channel: ChannelId,
        what: String,
    ) -> Result<(), ApiError> {
        self.check(state, channel)
            .await
            .map_err(|error| match error.status {
                StatusCode::NOT_FOUND => ApiError::not_found(what),
                _ => error,
            })
    }

    /// The one channel that a request without an id in its path is about: the token's own. Group
    /// tokens and license keys name it with `camid` (contract section 3.4).
    pub(crate) async fn own_channel(
        &self,
        state: &AppState,
        params: &Params,
    ) -> Result<ChannelId, ApiError> {
        let named = params.number::<ChannelId>("camid")?;
        let channel = match (self.grant.principal, named) {
            (Principal::Channel(own), _) => own,
            (_, Some(named)) => named,
            (_, None) => {
                return Err(ApiError::denied(
                    "this call needs a channel token, or camid to say which channel is meant",
                ));
            }
        };
        self.check(state, channel).await?;
        Ok(channel)
    }

    /// The channels that a list without an id in its path is about: the one that `camid` names, a channel
    /// token's own, else all that the token opens.
    pub(crate) async fn listed_channels(
        &self,
        state: &AppState,
        params: &Params,
    ) -> Result<Vec<ChannelId>, ApiError> {
        match (params.number::<ChannelId>("camid")?, self.grant.principal) {
            (Some(channel), _) | (None, Principal::Channel(channel)) => {
                self.check(state, channel).await?;
                Ok(vec![channel])
            }
            (None, _) => Ok(state.access.channels(&self.grant).await?),
        }
    }

    /// The group behind a group token.
    pub(crate) fn group(&self) -> Option<GroupId> {
        match self.grant.principal {
            Principal::Group(group) => Some(group),
            _ => None,
        }
    }

    /// Whether the caller holds the license key.
    pub(crate) const fn is_account(&self) -> bool {
        matches!(self.grant.principal, Principal::Account(_))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            ApiError::new(
                ErrorKind::Internal,
                "a route without a credential asked who is calling",
            )
        })
    }
}

/// Who looks at a clip.
#[derive(Debug, Clone)]
pub(crate) enum ClipReader {
    /// Somebody with a credential.
    Caller(Caller),
    /// Somebody whom a clip was shared with.
    Share(ClipShare),
}

impl<S: Send + Sync> FromRequestParts<S> for ClipReader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<ClipShare>() {
            Some(share) => Ok(Self::Share(*share)),
            None => Caller::from_request_parts(parts, state)
                .await
                .map(Self::Caller),
        }
    }
}

/// The layer: runs before the handler and before any body is read.
pub(crate) async fn enforce(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(error) = check_stream(gate.path, request.uri().query()) {
        return error.into_response();
    }
    if let Some(right) = gate.need.right() {
        if let (Need::ClipShareOr(_), Some(token)) = (gate.need, shared_clip_token(&request)) {
            match gate.state.access.clip_share(token.expose()).await {
                Ok(share) => {
                    introduce(&request);
                    request.extensions_mut().insert(share);
                    return next.run(request).await;
                }
                Err(error) => return ApiError::from(error).into_response(),
            }
        }
        // Read before waiting: a request may not be shared between threads, its credential may.
        let admitted = match credential(&request) {
            Ok(credential) => admit(&gate, right, &credential).await,
            Err(error) => Err(error),
        };
        match admitted {
            Ok(caller) => {
                introduce(&request);
                request.extensions_mut().insert(caller);
            }
            Err(error) => return error.into_response(),
        }
    }
    next.run(request).await
}

fn introduce(request: &Request) {
    if let Some(visitor) = request.extensions().get::<Visitor>() {
        visitor.introduce();
    }
}

/// The token of a shared clip, where one came and nothing else.
fn shared_clip_token(request: &Request) -> Option<Secret<String>> {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return None;
    }
    let params = Params::parse(request.uri().query());
    let token = params.get("token")?;
    framewell_access::is_clip_share(token).then(|| Secret::new(token.to_owned()))
}

async fn admit(gate: &Gate, right: Right, credential: &Credential) -> Result<Caller, ApiError> {
    let grant = gate.state.access.authenticate(credential).await?;
    if gate.need == Need::Account && !matches!(grant.principal, Principal::Account(_)) {
        return Err(ApiError::denied("this call needs a license key"));
    }
    if !grant.rights.has(right) {
        return Err(ApiError::denied(format!(
            "the token does not allow this: it lacks the right to {}",
            right_in_words(right)
        )));
    }
    Ok(Caller { grant, right })
}

const fn right_in_words(right: Right) -> &'static str {
    match right {
        Right::Watch => "watch",
        Right::Create => "create pictures, clips and events",
        Right::Meta => "use metadata",
        Right::Configure => "change settings",
        Right::Admin => "administer the account",
        Right::Publish => "publish video",
    }
}

fn unauthenticated(message: &str) -> ApiError {
    ApiError::new(ErrorKind::Unauthenticated, message)
}

/// The `Authorization` header, else `?token=` (contract section 2.1).
fn credential(request: &Request) -> Result<Credential, ApiError> {
    if let Some(credential) = header_credential(request.headers())? {
        return Ok(credential);
    }
    // A page on another site can make a browser send a GET, but it cannot know the token.
    let is_native = request.uri().path().starts_with("/v1/");
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read || !is_native {
        let params = Params::parse(request.uri().query());
        if let Some(token) = params.get("token").filter(|token| !token.is_empty()) {
            return Ok(Credential::Any(Secret::new(token.to_owned())));
        }
    }
    Err(unauthenticated(
        "no credential: send an Authorization header or token=",
    ))
}

/// Scheme and credential, split at a run of whitespace; the scheme in any case.
fn header_credential(headers: &HeaderMap) -> Result<Option<Credential>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| unauthenticated("the Authorization header is not plain text"))?;
    let mut words = text.split_ascii_whitespace();
    let (Some(scheme), Some(token), None) = (words.next(), words.next(), words.next()) else {
        return Err(unauthenticated(
            "the Authorization header is not a scheme and a credential",
        ));
    };
    let secret = Secret::new(token.to_owned());
    match scheme.to_ascii_lowercase().as_str() {
        "lkey" => Ok(Some(Credential::License(secret))),
        "acc" => Ok(Some(Credential::Channel(secret))),
        "si" => Ok(Some(Credential::Group(secret))),
        "bearer" => Ok(Some(Credential::Any(secret))),
        _ => Err(unauthenticated("the Authorization scheme is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn read(header: Option<&str>, uri: &str) -> Result<Credential, ApiError> {
        let mut request = Request::builder().uri(uri);
        if let Some(header) = header {
            request = request.header(header::AUTHORIZATION, header);
        }
        credential(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn schemes_split_on_runs_of_whitespace_in_any_case() {
        assert!(
            matches!(read(Some("Acc  abc"), "/"), Ok(Credential::Channel(s)) if s.expose() == "abc")
        );
        assert!(matches!(
            read(Some("acc\t abc "), "/"),
            Ok(Credential::Channel(_))
        ));
        assert!(matches!(
            read(Some("SI abc"), "/"),
            Ok(Credential::Group(_))
        ));
        assert!(matches!(
            read(Some("LKEY abc"), "/"),
            Ok(Credential::License(_))
        ));
        assert!(matches!(
            read(Some("bearer abc"), "/"),
            Ok(Credential::Any(_))
        ));
        assert!(read(Some("Basic abc"), "/").is_err());
        assert!(read(Some("Acc"), "/").is_err());
        assert!(read(Some("Acc a b"), "/").is_err());
    }

    #[test]
    fn the_header_wins_over_the_query() {
        assert!(
            matches!(read(Some("Acc a"), "/?token=b"), Ok(Credential::Channel(s)) if s.expose() == "a")
        );
        assert!(
            matches!(read(None, "/x?y=1&token=b"), Ok(Credential::Any(s)) if s.expose() == "b")
        );
        assert!(read(None, "/x?token=").is_err());
        assert!(read(None, "/").is_err());
    }
}
