//! The router: table of routes, layers, fallbacks.

use crate::error::ApiError;
use crate::{AppState, auth, face, routes};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Everything the server answers over HTTP.
///
/// Paths match with and without a trailing slash and with doubled slashes, without a redirect:
/// clients drop bodies on redirects and browsers refuse redirected preflights (contract section 2.2).
pub fn router(state: AppState) -> Router {
    let mut inner = Router::new();
    for route in routes::TABLE {
        let gate = auth::Gate::new(state.clone(), route.need, route.path);
        let methods =
            (route.build)().route_layer(axum::middleware::from_fn_with_state(gate, auth::enforce));
        inner = inner.route(route.path, methods);
    }
    let inner = inner.fallback(async || ApiError::of_status(StatusCode::NOT_FOUND));
    let inner = dressed(inner).with_state(state);
    // Rewriting has to happen before routing, so it wraps the router as a service.
    Router::new().fallback_service(
        ServiceBuilder::new()
            .map_request(normalize_path)
            .service(inner),
    )
}

/// Around every route, outermost first.
fn dressed<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(
        ServiceBuilder::new()
            .layer(cors())
            .layer(axum::middleware::from_fn(face::dress))
            .layer(CatchPanicLayer::custom(answer_panic)),
    )
}

/// Browser clients send credentials, so the origin is echoed, `null` included (contract section 2.3).
/// No cookie exists here, so an origin gains nothing that its token does not give.
fn cors() -> CorsLayer {
    let exposed = [
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::ACCEPT_RANGES,
        header::ETAG,
        face::REQUEST_ID,
        HeaderName::from_static("framewell-requested-time"),
        HeaderName::from_static("framewell-capture-time"),
        HeaderName::from_static("framewell-clock-source"),
        HeaderName::from_static("framewell-age-ms"),
        HeaderName::from_static("framewell-distance-ms"),
        HeaderName::from_static("framewell-frame"),
        HeaderName::from_static("framewell-key-frame"),
        HeaderName::from_static("framewell-width"),
        HeaderName::from_static("framewell-height"),
        HeaderName::from_static("framewell-gaps"),
        HeaderName::from_static("framewell-tolerance-ms"),
        HeaderName::from_static("framewell-channels"),
        header::RETRY_AFTER,
        header::LOCATION,
        header::WARNING,
        HeaderName::from_static("accept-patch"),
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers(AllowHeaders::list([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::RANGE,
            header::IF_RANGE,
            header::IF_NONE_MATCH,
            header::IF_MATCH,
            face::REQUEST_ID,
        ]))
        .expose_headers(exposed)
        .max_age(Duration::from_secs(600))
}

fn answer_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    let mut error = ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR);
    error.causes = Some(format!("a handler panicked: {text}"));
    error.into_response()
}

/// Collapses runs of slashes and drops the last one.
fn normalize_path(mut request: Request) -> Request {
    let path = request.uri().path();
    if !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return request;
    }
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    let mut target = format!("/{}", words.join("/"));
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    if let Ok(path_and_query) = target.parse() {
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[tokio::test]
    async fn a_panic_is_a_json_error_of_the_face_that_was_called() {
        use axum::body::to_bytes;
        use axum::routing::get;
        use tower::ServiceExt;
        async fn fail() -> Response {
            panic!("on purpose");
        }
        let routes: Router<()> = Router::new()
            .route("/v1/x", get(fail))
            .route("/api/x", get(fail));
        let routes = dressed(routes);
        for (path, member) in [("/v1/x", "error"), ("/api/x", "errorDetail")] {
            let request = Request::builder().uri(path).header("origin", "null");
            let request = request.body(Body::empty()).unwrap();
            let response = routes.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.headers()["access-control-allow-origin"], "null");
            let body = to_bytes(response.into_body(), 10_000).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert!(body.get(member).is_some(), "{body}");
            assert!(!body.to_string().contains("on purpose"));
        }
    }

    #[test]
    fn slashes_are_normalized_and_the_query_is_kept() {
        let normalized = |uri: &str| {
            let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            normalize_path(request).uri().to_string()
        };
        assert_eq!(normalized("//api/v2//x/"), "/api/v2/x");
        assert_eq!(normalized("/api/x?a=//b/"), "/api/x?a=//b/");
        assert_eq!(normalized("/api/x/?token=t"), "/api/x?token=t");
        assert_eq!(normalized("/"), "/");
        assert_eq!(normalized("http://host:80/a/"), "http://host:80/a");
    }
}
