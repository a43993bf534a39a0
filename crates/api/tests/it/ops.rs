//! Health, readiness, documentation page.

use crate::site::Site;

#[tokio::test]
async fn health_and_readiness_differ_when_the_database_is_gone() {
    let site = Site::new().await;
    assert_eq!(site.get("", "/healthz").await.expect(200)["status"], "ok");
    assert_eq!(site.get("", "/readyz").await.expect(200)["status"], "ready");
    site.state.catalog.close().await;
    assert_eq!(site.get("", "/healthz").await.expect(200)["status"], "ok");
    site.get("", "/readyz").await.expect(503);
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let site = Site::new().await;
    let page = site.get("", "/docs").await;
    assert_eq!(page.status.as_u16(), 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert!(html.contains("/v1/openapi.json"));
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("//cdn"));
}
