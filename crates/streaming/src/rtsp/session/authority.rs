//! By what right a client plays: a ticket in the URL, or a channel token as the password of a Digest.

use super::{Play, Refusal, Session, header};
use crate::rtsp::digest::Answer;
use crate::rtsp::uri::{Kind, Target};
use framewell_access::MediaScope;
use framewell_model::{ErrorKind, Grant, HasKind, Holder, Right};
use rtsp_types::{Method, Request, StatusCode, headers};
use url::Url;

/// Wrong passwords that a connection may show: each costs a look into the database.
const MAX_FAILED_LOGINS: u32 = 3;

/// What a session was set up with; asked again at `PLAY`.
#[derive(Debug, Clone)]
pub(super) enum Authority {
    Ticket { text: String, holder: Holder },
    Token(Grant),
}

impl Authority {
    /// Who pays for the session.
    pub(super) fn holder(&self) -> Holder {
        match self {
            Self::Ticket { holder, .. } => *holder,
            Self::Token(grant) => grant.into(),
        }
    }
}

impl Session {
    /// Whether the client has shown that it knows no password.
    pub(crate) const fn has_guessed_enough(&self) -> bool {
        self.failed_logins >= MAX_FAILED_LOGINS
    }

    /// Whether a request may have its target.
    pub(super) async fn authorise(
        &mut self,
        target: &Target,
        request: &Request<Vec<u8>>,
    ) -> Result<Authority, Refusal> {
        if let Some(ticket) = &target.ticket {
            let holder = self.admit_ticket(ticket, target).await?;
            let text = ticket.clone();
            return Ok(Authority::Ticket { text, holder });
        }
        let answer = header(request, &headers::AUTHORIZATION).and_then(Answer::parse);
        let answer = answer.filter(|answer| answer.is_to(&self.nonce) && is_about(answer, target));
        let answer = answer.ok_or(StatusCode::Unauthorized)?;
        let method = name_of(request.method());
        let access = &self.service.access;
        let is_shown = |token: &str| answer.is_by(token, method);
        let grant = access.authenticate_proof(target.channel, is_shown).await;
        self.failed_logins += u32::from(grant.is_err());
        let grant = grant.map_err(|error| refused(target, &error))?;
        self.check_grant(&grant, target).await?;
        Ok(Authority::Token(grant))
    }

    /// Whether what the session was set up with still holds.
    pub(super) async fn check_authority(&self, play: &Play) -> Result<(), Refusal> {
        match &play.authority {
            Authority::Ticket { text, .. } => {
                self.admit_ticket(text, &play.target).await.map(|_| ())
            }
            Authority::Token(grant) => {
                let standing = self.service.access.recheck(grant).await;
                standing.map_err(|error| refused(&play.target, &error))?;
                self.check_grant(grant, &play.target).await
            }
        }
    }

    async fn admit_ticket(&self, ticket: &str, target: &Target) -> Result<Holder, Refusal> {
        let scope = match target.kind {
            Kind::Live => MediaScope::Live(target.channel),
            Kind::Recorded { .. } => MediaScope::Footage(target.channel),
        };
        let admitted = self.service.access.admit_ticket(ticket, &scope).await;
        Ok(admitted.map_err(|error| refused(target, &error))?.holder)
    }

    async fn check_grant(&self, grant: &Grant, target: &Target) -> Result<(), Refusal> {
        let access = &self.service.access;
        let checked = access.check_channel(grant, target.channel, Right::Watch);
        Ok(checked.await.map_err(|error| refused(target, &error))?)
    }
}

fn refused(target: &Target, error: &framewell_access::Error) -> StatusCode {
    // Strangers can make as many as they like.
    tracing::debug!(channel.id = %target.channel, %error, "rtsp login refused");
    match error.kind() {
        ErrorKind::PermissionDenied => StatusCode::Forbidden,
        ErrorKind::Unauthenticated | ErrorKind::NotFound => StatusCode::Unauthorized,
        _ => StatusCode::ServiceUnavailable,
    }
}

/// Clients name the URL of the stream or of the track; either way it must be of the same channel.
fn is_about(answer: &Answer, target: &Target) -> bool {
    let named = Url::parse(&answer.uri)
        .ok()
        .as_ref()
        .and_then(Target::parse);
    named.is_some_and(|named| named.channel == target.channel && named.kind == target.kind)
}

/// As it stands in the request line; only methods that need a right are asked about.
fn name_of(method: &Method) -> &'static str {
    match method {
        Method::Describe => "DESCRIBE",
        Method::Setup => "SETUP",
        Method::Announce => "ANNOUNCE",
        _ => "",
    }
}
