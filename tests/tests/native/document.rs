//! The OpenAPI document of our own API against the server that serves it.

use hookyard_tests::{client::Answer, database::Kind, host::TestHost, openapi::Document};
use serde_json::{Value, json};

use crate::Caller;

const PATH: &str = "/swagger/hookyard/openapi.json";

#[tokio::test(flavor = "multi_thread")]
async fn each_documented_method_is_served_and_no_other() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    let operator = Caller::operator(&host).await;
    let document = Document::of(host.client(), PATH).await;
    let unknown = |answer: &Answer| answer.json()["detail"] == "there is no such path";
    document.is_what_is_served(host.client(), Some(&operator.token), unknown).await;
}

/// It is read with and without a token, for some tools send theirs with everything.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_holds_together() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    let document = Document::of(host.client(), PATH).await;
    document.holds_together();
    let operator = Caller::operator(&host).await;
    assert_eq!(operator.get(PATH).await.json(), document.text);
    for operation in &document.operations {
        assert!(operation.is_opened_by("managementToken"), "{}", operation.id);
        // Whoever forgets a token is told so, whatever is asked for.
        assert!(operation.statuses.is_superset(&[401, 422, 500, 503].into()), "{}", operation.id);
    }
}

/// A field that is not known is refused, so no body is described as open.
#[tokio::test(flavor = "multi_thread")]
async fn every_body_is_closed_and_bounded() {
    let host = TestHost::builder(Kind::Sqlite).start().await;
    let document = Document::of(host.client(), PATH).await;
    let mut bodies = 0;
    for methods in document.text["paths"].as_object().expect("there are paths").values() {
        for operation in methods.as_object().expect("a path has methods").values() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let Some(name) = schema.as_str().and_then(|text| text.rsplit('/').next()) else {
                continue;
            };
            let schema = &document.text["components"]["schemas"][name];
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{name}");
            bodies += 1;
        }
    }
    assert!(bodies > 12, "{bodies}");
    let schemas = &document.text["components"]["schemas"];
    assert_eq!(schemas["NewEndpoint"]["required"], json!(["url"]));
    assert!(schemas["EndpointChange"]["properties"]["with_token"].is_null());
    assert_eq!(schemas["NewTenant"]["properties"]["attempts_max"]["maximum"], 100);
}
