//! Answers to RTSP requests (RFC 2326).

use super::auth::{AuthScheme, challenge, is_authorized};
use super::sdp;
use super::session::Cameras;
use super::state::CameraState;
use super::transport::TrackOut;
use crate::clock::wall_now;
use framewell_media::{StreamParameters, TrackKind};
use rtsp_types::headers::{self, HeaderName, HeaderValue, Transports};
use rtsp_types::{Method, Request, Response, StatusCode, Version};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

const TRACKS: [TrackKind; 2] = [TrackKind::Video, TrackKind::Audio];
const PUBLIC: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN";

/// The conversation of one connection.
pub(super) struct Exchange {
    cameras: Cameras,
    camera: Option<Arc<CameraState>>,
    client: IpAddr,
    nonce: String,
    session: String,
    /// Video, audio, metadata; set up or not.
    pub(super) tracks: [Option<TrackOut>; 3],
}

/// What to send, and what follows from it.
pub(super) struct Answer {
    pub(super) response: Response<Vec<u8>>,
    pub(super) starts_play: bool,
    pub(super) ends: bool,
}

impl Exchange {
    pub(super) fn new(cameras: Cameras, client: IpAddr) -> Self {
        Self {
            cameras,
            camera: None,
            client,
            nonce: format!("{:032x}", rand::random::<u128>()),
            session: format!("{:08x}", rand::random::<u32>()),
            tracks: [None, None, None],
        }
    }

    /// The camera that the client asked for.
    pub(super) const fn camera(&self) -> Option<&Arc<CameraState>> {
        self.camera.as_ref()
    }

    /// The answer; `None` to hang up without one.
    pub(super) async fn answer(
        &mut self,
        request: &Request<Vec<u8>>,
    ) -> io::Result<Option<Answer>> {
        let status = match self.admit(request) {
            Admission::Ok(camera) => {
                self.camera = Some(Arc::clone(&camera));
                let mut answer = self.dispatch(request, &camera).await?;
                echo_sequence(request, &mut answer.response);
                return Ok(Some(answer));
            }
            Admission::HangUp => return Ok(None),
            Admission::Refused(status) => status,
        };
        let mut answer = plain(status);
        if let (StatusCode::Unauthorized, Some(camera)) = (status, self.named(request)) {
            let header = challenge(camera.auth, &self.nonce);
            let value = HeaderValue::from(header);
            answer
                .response
                .insert_header(headers::WWW_AUTHENTICATE, value);
        }
        echo_sequence(request, &mut answer.response);
        Ok(Some(answer))
    }

    /// The camera in the request's path: its first part.
    fn named(&self, request: &Request<Vec<u8>>) -> Option<&Arc<CameraState>> {
        let name = request.request_uri()?.path_segments()?.next()?;
        self.cameras.get(name)
    }

    fn admit(&self, request: &Request<Vec<u8>>) -> Admission {
        let Some(camera) = self.named(request) else {
            return Admission::Refused(StatusCode::NotFound);
        };
        let faults = camera.faults().clone();
        if faults.is_unplugged {
            return Admission::HangUp;
        }
        if faults.refuses_everybody {
            return Admission::Refused(StatusCode::Unauthorized);
        }
        let header = request.header(&headers::AUTHORIZATION);
        let is_free = *request.method() == Method::Options || camera.auth == AuthScheme::None;
        let method: &str = request.method().into();
        let is_allowed = is_free
            || is_authorized(
                camera.auth,
                (&camera.login, &camera.password),
                &self.nonce,
                method,
                header.map(HeaderValue::as_str),
            );
        if is_allowed {
            Admission::Ok(Arc::clone(camera))
        } else {
            Admission::Refused(StatusCode::Unauthorized)
        }
    }

    async fn dispatch(
        &mut self,
        request: &Request<Vec<u8>>,
        camera: &CameraState,
    ) -> io::Result<Answer> {
        let answer = match request.method() {
            Method::Options => with(StatusCode::Ok, &[(headers::PUBLIC, PUBLIC)]),
            Method::Describe => describe(request, camera),
            Method::Setup => self.setup(request).await?,
            Method::Play => self.play(request, camera),
            Method::GetParameter | Method::SetParameter => self.in_session(),
            Method::Teardown => Answer {
                ends: true,
                ..self.in_session()
            },
            _ => plain(StatusCode::NotImplemented),
        };
        Ok(answer)
    }

    fn in_session(&self) -> Answer {
        with(StatusCode::Ok, &[(headers::SESSION, &self.session)])
    }

    async fn setup(&mut self, request: &Request<Vec<u8>>) -> io::Result<Answer> {
        let path = request.request_uri().map_or("", |uri| uri.path());
        let controls = TRACKS.map(sdp::control);
        let which = controls
            .into_iter()
            .chain([sdp::METADATA_CONTROL])
            .position(|control| path.ends_with(control))
            .unwrap_or(0);
        let Ok(Some(offered)) = request.typed_header::<Transports>() else {
            return Ok(plain(StatusCode::BadRequest));
        };
        let Some((track, answer)) = TrackOut::new(&offered, self.client).await? else {
            return Ok(plain(StatusCode::UnsupportedTransport));
        };
        self.tracks[which] = Some(track);
        let session = format!("{};timeout=60", self.session);
        let mut setup = with(StatusCode::Ok, &[(headers::SESSION, &session)]);
        setup.response.insert_typed_header(&answer);
        Ok(setup)
    }

    fn play(&self, request: &Request<Vec<u8>>, camera: &CameraState) -> Answer {
        let parameters = camera.parameters.borrow().clone();
        let (Some(parameters), true) = (parameters, self.tracks.iter().any(Option::is_some)) else {
            return plain(StatusCode::MethodNotValidInThisState);
        };
        let uri = request.request_uri().map_or("", |uri| uri.as_str());
        let info = self.rtp_info(uri.trim_end_matches('/'), camera, &parameters);
        let mut fields = vec![
            (headers::SESSION, self.session.as_str()),
            (headers::RANGE, "npt=now-"),
        ];
        // Nothing is known of the clock of metadata.
        fields.extend((!info.is_empty()).then_some((headers::RTP_INFO, info.as_str())));
        Answer {
            starts_play: true,
            ..with(StatusCode::Ok, &fields)
        }
    }

    /// The same instant on the RTP clocks of all tracks (RFC 2326 section 12.33).
    fn rtp_info(&self, uri: &str, camera: &CameraState, parameters: &StreamParameters) -> String {
        let now = wall_now();
        let tracks = TRACKS.iter().zip(&self.tracks);
        let entries = tracks.filter_map(|(track, out)| {
            let scale = CameraState::timescale(parameters, *track);
            let time = camera.rtp_time(*track, scale, camera.ticks_at(scale, now));
            let sequence = out.as_ref()?.sequence;
            let control = sdp::control(*track);
            Some(format!("url={uri}/{control};seq={sequence};rtptime={time}"))
        });
        entries.collect::<Vec<_>>().join(",")
    }
}

enum Admission {
    Ok(Arc<CameraState>),
    Refused(StatusCode),
    HangUp,
}

fn describe(request: &Request<Vec<u8>>, camera: &CameraState) -> Answer {
    let Some(parameters) = camera.parameters.borrow().clone() else {
        return plain(StatusCode::ServiceUnavailable);
    };
    let uri = request.request_uri().map_or("", |uri| uri.as_str());
    let base = format!("{}/", uri.trim_end_matches('/'));
    let faults = camera.faults().clone();
    let response = Response::builder(Version::V1_0, StatusCode::Ok)
        .header(headers::CONTENT_BASE, base)
        .header(headers::CONTENT_TYPE, "application/sdp")
        .build(sdp::describe(&parameters, &faults));
    Answer {
        response,
        starts_play: false,
        ends: false,
    }
}

fn plain(status: StatusCode) -> Answer {
    with(status, &[])
}

fn with(status: StatusCode, fields: &[(HeaderName, &str)]) -> Answer {
    let mut response = Response::builder(Version::V1_0, status).build(Vec::new());
    for (name, value) in fields {
        response.insert_header(name.clone(), HeaderValue::from(*value));
    }
    Answer {
        response,
        starts_play: false,
        ends: false,
    }
}

fn echo_sequence(request: &Request<Vec<u8>>, response: &mut Response<Vec<u8>>) {
    if let Some(sequence) = request.header(&headers::CSEQ) {
        response.insert_header(headers::CSEQ, sequence.clone());
    }
}
