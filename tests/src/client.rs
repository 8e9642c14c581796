//! A keep-alive client that posts events; the test decides every header.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard_domain::TenantId;
use http::HeaderMap;
use serde_json::Value;

use crate::setup::api_key;

/// Longer than anything the server does on purpose.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Posts to one server. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    tenants: Arc<BTreeMap<String, TenantId>>,
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON, `null` when it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header, empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `eventId` of a 200 or 202.
    ///
    /// # Panics
    /// When there is none.
    pub fn event_id(&self) -> String {
        match &self.json()["eventId"] {
            Value::String(id) => id.clone(),
            _ => panic!("the answer names no event: {} {}", self.status, self.text()),
        }
    }
}

impl Client {
    /// `base` is `http://host:port`; `tenants` are those whose tokens will be posted to.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test posts to the server it started, which no address check concerns"
    )]
    pub fn new(base: &str, tenants: BTreeMap<String, TenantId>) -> Self {
        // Only plain HTTP is spoken, but the client asks for a cryptography provider all the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .expect("a plain client can be built");
        Self {
            http,
            base: base.to_owned(),
            tenants: Arc::new(tenants),
        }
    }

    /// The ingest URL of a token made by [`crate::setup`]; any other token counts as the first tenant's.
    ///
    /// # Panics
    /// When there is no tenant at all.
    pub fn ingest_url(&self, token: &str) -> String {
        let (_, id) = self.tenant_of(token);
        format!("{}/api/v1/ingest/{id}/{token}", self.base)
    }

    /// Prepares a post of JSON to a token, with its tenant's API key.
    pub fn post(&self, token: &str, body: impl Into<Bytes>) -> Post {
        let (name, _) = self.tenant_of(token);
        self.post_to(&self.ingest_url(token), body).header("x-api-key", &api_key(name))
    }

    /// Prepares a post of JSON to any URL, without a key.
    pub fn post_to(&self, url: &str, body: impl Into<Bytes>) -> Post {
        let request = self.http.post(url).body(body.into());
        Post {
            request,
            headers: HeaderMap::new(),
        }
        .header("content-type", "application/json")
    }

    /// Prepares a request to a path of the server, without a body and without a key.
    pub fn prepare(&self, method: http::Method, path: &str) -> Post {
        Post {
            request: self.http.request(method, format!("{}{path}", self.base)),
            headers: HeaderMap::new(),
        }
    }

    /// Sends a request without a body.
    ///
    /// # Panics
    /// When it is not answered.
    pub async fn request(&self, method: http::Method, url: &str) -> Answer {
        receive(self.http.request(method, url)).await.expect("the server answers")
    }

    /// Sends a request to a path of the server, with an access token and a JSON body where they are given.
    ///
    /// # Panics
    /// When it is not answered.
    pub async fn call(&self, method: http::Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        receive(request).await.expect("the server answers")
    }

    /// Sends a request to any URL with headers of the test's choice.
    ///
    /// # Panics
    /// When it is not answered.
    pub async fn with_headers(&self, method: http::Method, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = self.http.request(method, url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        receive(request.body(body.to_owned())).await.expect("the server answers")
    }

    /// Gets a path of the server, which begins with a slash.
    ///
    /// # Panics
    /// When it is not answered.
    pub async fn get(&self, path: &str) -> Answer {
        self.request(http::Method::GET, &format!("{}{path}", self.base)).await
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn tenant(&self, name: &str) -> Option<TenantId> {
        self.tenants.get(name).copied()
    }

    fn tenant_of(&self, token: &str) -> (&str, TenantId) {
        let owner = token
            .split_once('_')
            .map_or("", |(_, rest)| rest.split('.').next().unwrap_or_default());
        let (name, id) = self
            .tenants
            .get_key_value(owner)
            .or_else(|| self.tenants.first_key_value())
            .expect("the client knows a tenant");
        (name, *id)
    }
}

/// A request that is not sent yet.
#[must_use]
pub struct Post {
    request: reqwest::RequestBuilder,
    headers: HeaderMap,
}

impl Post {
    /// Gives it a body of JSON.
    pub fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.request = self.request.body(body.into());
        self.header("content-type", "application/json")
    }

    /// Sets the idempotency key.
    pub fn key(self, key: &str) -> Self {
        self.header("x-idempotency-key", key)
    }

    /// Sets a header and replaces an earlier value.
    ///
    /// # Panics
    /// When HTTP does not allow such a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.header_bytes(name, value.as_bytes())
    }

    /// Sets a header to bytes that need not be text.
    ///
    /// # Panics
    /// When HTTP does not allow such a header.
    pub fn header_bytes(mut self, name: &str, value: &[u8]) -> Self {
        let name: http::HeaderName = name.parse().expect("a header name");
        let value = http::HeaderValue::from_bytes(value).expect("a header value");
        self.headers.insert(name, value);
        self
    }

    /// Leaves a header out.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Sends it.
    ///
    /// # Panics
    /// When it is not answered.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("the server answers")
    }

    /// Sends it to a server that may be dying.
    ///
    /// # Errors
    /// There was no complete answer.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        receive(self.request.headers(self.headers)).await
    }
}

async fn receive(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await?,
    })
}
