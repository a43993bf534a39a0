//! A push as parts that replace each other (`multipart/x-mixed-replace`).

use super::push::{Next, Push};
use crate::picture;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewell_imaging::LiveImage;
use framewell_model::WallTime;
use futures::{StreamExt, stream};
use std::convert::Infallible;
use uuid::Uuid;

/// Parts until the end. A browser shows a part when it sees the delimiter behind it, so each part is
/// sent with that: the first delimiter goes alone.
pub(crate) fn respond(push: Push, first: Option<Box<LiveImage>>) -> Response {
    let boundary = format!("framewell-{}", Uuid::now_v7().simple());
    let content_type = format!("multipart/x-mixed-replace; boundary={boundary}");
    let opening = Bytes::from(format!("--{boundary}\r\n"));
    let rest = stream::unfold(Some((push, first)), move |state| {
        let boundary = boundary.clone();
        async move {
            let (mut push, first) = state?;
            let next = match first {
                Some(image) => Next::Picture(image),
                None => push.next().await,
            };
            Some(match next {
                Next::Picture(image) => {
                    let chunks = part(&boundary, &image, push.state.clock.now());
                    (chunks.to_vec(), Some((push, None)))
                }
                // Parts replace pictures: there is no place for words. Times and counts tell.
                Next::Trouble(_) => (Vec::new(), Some((push, None))),
                Next::End | Next::Shut(_) => (vec![format!("\r\n--{boundary}--\r\n").into()], None),
            })
        }
    });
    let chunks = stream::iter([vec![opening]]).chain(rest);
    let body = chunks.flat_map(|chunks| stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)));
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// Headers, picture (a handle, not a copy), the next delimiter.
fn part(boundary: &str, image: &LiveImage, now: WallTime) -> [Bytes; 3] {
    let mut head = Vec::new();
    for (name, value) in &headers(image, now) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    let length = image.image.data.len();
    head.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    let delimiter = format!("\r\n--{boundary}\r\n").into();
    [head.into(), image.image.data.clone(), delimiter]
}

fn headers(image: &LiveImage, now: WallTime) -> HeaderMap {
    let mut headers = picture::truth(&image.image, now);
    picture::set(
        &mut headers,
        "framewell-sequence",
        &image.sequence.to_string(),
    );
    picture::set(
        &mut headers,
        "framewell-dropped",
        &image.dropped.to_string(),
    );
    headers
}
