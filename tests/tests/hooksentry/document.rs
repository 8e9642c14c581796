//! The OpenAPI document and its page. That each of its codes really comes is `matrix`'s to show, and that nothing else comes the
//! suite `schemathesis`'s.

use hookyard_tests::{database::Kind, host::TestHost, openapi::Document};

pub const PATH: &str = "/swagger/v1/swagger.json";
/// The document of Hookyard's own API, which the page shows too.
const OWN: &str = "/swagger/hookyard/openapi.json";

#[tokio::test(flavor = "multi_thread")]
async fn each_documented_method_is_served_and_no_other() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    let document = Document::of(host.client(), PATH).await;
    document
        .is_what_is_served(host.client(), None, |answer| answer.body.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds_together() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    Document::of(host.client(), PATH).await.holds_together();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_from_this_server_alone() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    let client = host.client();
    let first = client.get("/swagger").await;
    assert_eq!((first.status, first.header("location")), (308, "/swagger/"));
    for (file, content_type) in [
        ("", "text/html"),
        ("swagger-ui.css", "text/css"),
        ("index.css", "text/css"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui-standalone-preset.js", "text/javascript"),
        ("swagger-initializer.js", "text/javascript"),
    ] {
        let answer = client.get(&format!("/swagger/{file}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, content_type), "{file}");
        assert!(!answer.body.is_empty());
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let settings = client.get("/swagger/swagger-initializer.js").await.text();
    assert!(
        settings.contains(PATH) && settings.contains(OWN) && !settings.contains("http"),
        "{settings}"
    );
    for absent in ["../v1/swagger.json", "nothing.js", "..%2fCargo.toml"] {
        assert_eq!(client.get(&format!("/swagger/{absent}")).await.status, 404, "{absent}");
    }
}

/// The document is read by the dashboard's pages too, and by no others.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_open_to_the_dashboards_origin_alone() {
    let origin = "https://hooks.example.com";
    let host = TestHost::builder(Kind::Sqlite)
        .config(move |config| config.dashboard_origin = Some(http::HeaderValue::from_static(origin)))
        .start()
        .await;
    assert_eq!(host.client().get(PATH).await.header("access-control-allow-origin"), origin);
    let host = TestHost::builder(Kind::Sqlite).start().await;
    assert_eq!(host.client().get(PATH).await.header("access-control-allow-origin"), "");
}
