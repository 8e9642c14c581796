//! The documents, and the page that shows them (`/swagger`): Swagger UI with all its files in the program itself.
//!
//! Open to whoever reaches the listener, as the health routes are: a document names no tenant, and the page asks for a log-in
//! before it can do anything.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use bytes::Bytes;
use tower_http::cors::CorsLayer;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, Url, serve};

/// Nothing but the page's own files, and requests to this server. Swagger UI writes styles into the elements it makes, and
/// has its pictures in its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What describes one dialect.
pub struct Document {
    /// As the page's menu shows it.
    pub name: &'static str,
    /// Where it is served.
    pub path: &'static str,
    pub description: OpenApi,
}

/// Serves documents, and the page; the page begins with the first one. A document may be read by pages of this server, and by
/// those of `origin`.
pub fn router(documents: Vec<Document>, origin: Option<&HeaderValue>) -> Router {
    let urls: Vec<Url<'static>> = documents.iter().map(|document| Url::new(document.name, document.path)).collect();
    let config = Config::new(urls)
        .try_it_out_enabled(true)
        .persist_authorization(false)
        .display_request_duration(true)
        .doc_expansion("none")
        // Else it asks a service on the internet whether the document is well-formed.
        .validator_url("none");
    let page = Router::new()
        .route("/swagger", get(async || Redirect::permanent("/swagger/")))
        .route("/swagger/", get(first_file))
        .route("/swagger/{*file}", get(file))
        .with_state(Arc::new(config));
    let mut texts = Router::new();
    for document in documents {
        let text = document.description.to_json().expect("a description is made of texts and numbers");
        let text = Bytes::from(text);
        let answer = async move || plain("application/json", text);
        texts = texts.route(document.path, get(answer));
    }
    if let Some(origin) = origin {
        texts = texts.layer(CorsLayer::new().allow_origin(origin.clone()).allow_methods([Method::GET]));
    }
    page.merge(texts)
}

async fn first_file(State(config): State<Arc<Config<'static>>>) -> Response {
    shown("index.html", config)
}

async fn file(State(config): State<Arc<Config<'static>>>, Path(file): Path<String>) -> Response {
    shown(&file, config)
}

fn shown(name: &str, config: Arc<Config<'static>>) -> Response {
    let Ok(Some(file)) = serve(name, config) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = plain(&file.content_type, Bytes::from(file.bytes.into_owned()));
    if file.gzpipped {
        // Every browser takes it, and they are kept in no other form.
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn plain(content_type: &str, body: Bytes) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}
