//! How commands reach Hookyard's own API: in this process over the database, or on a server (`--server`, `--token`).
//!
//! Either way it is the same requests and the same answers, so a command does the same wherever it runs.

use std::time::Duration;

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, Uri, header},
};
use http_body_util::BodyExt as _;
use serde::{Serialize, de::DeserializeOwned};
use tower::ServiceExt as _;
use url::Url;

use super::Failure;
use crate::{documents::ProblemDocument, egress, store::SecretText};

/// How long a server may take to answer: far above the slowest operation, a set-up of thousands of things.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

pub(super) enum Api {
    /// In this process. Boxed, since the other is small.
    Here(Box<Router>),
    There {
        client: reqwest::Client,
        server: Url,
        token: SecretText,
    },
}

/// A status and a body.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Api {
    pub(super) fn here(router: Router) -> Self {
        Self::Here(Box::new(router))
    }

    /// # Errors
    /// The URL is not that of a server.
    #[expect(
        clippy::disallowed_methods,
        reason = "a command calls the server that its user names, in a process that serves nobody"
    )]
    pub(super) fn there(server: &str, token: SecretText) -> Result<Self, Failure> {
        let url: Url = server
            .parse()
            .map_err(|error| Failure::Usage(format!("--server is not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(Failure::Usage(
                "--server must be a URL such as https://hooks.example.com".to_owned(),
            ));
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(egress::tls())
            .timeout(ANSWER_WITHIN)
            // The token is for this server alone.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("hookyard/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self::There {
            client,
            server: url,
            token,
        })
    }

    /// Reads a document.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Failure> {
        read(&self.send(Method::GET, path, query, None).await?)
    }

    /// Reads bytes as they are.
    pub(super) async fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        Ok(self.send(Method::GET, path, &[], None).await?.body)
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, document: &impl Serialize) -> Result<T, Failure> {
        read(&self.send(Method::POST, path, &[], Some(serde_json::to_vec(document)?)).await?)
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, document: &impl Serialize) -> Result<T, Failure> {
        read(&self.send(Method::PATCH, path, &[], Some(serde_json::to_vec(document)?)).await?)
    }

    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(Method::DELETE, path, &[], None).await.map(drop)
    }

    /// A success; anything else is a failure with what the answer says.
    async fn send(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<Vec<u8>>) -> Result<Answer, Failure> {
        let answer = match self {
            Self::Here(router) => here(router, method, path, query, body).await?,
            Self::There { client, server, token } => {
                let mut url = server.clone();
                url.set_path(&format!("{}{path}", server.path().trim_end_matches('/')));
                url.query_pairs_mut().clear().extend_pairs(query);
                let mut request = client.request(method, url).bearer_auth(token.expose());
                if let Some(body) = body {
                    request = request.header(header::CONTENT_TYPE, "application/json").body(body);
                }
                let unreachable = || format!("cannot reach {server}");
                let answer = request.send().await.with_context(unreachable)?;
                let status = answer.status();
                let body = answer.bytes().await.with_context(unreachable)?.to_vec();
                Answer { status, body }
            }
        };
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(refused(&answer))
        }
    }
}

async fn here(router: &Router, method: Method, path: &str, query: &[(&str, &str)], body: Option<Vec<u8>>) -> Result<Answer, Failure> {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let uri: Uri = format!("{path}?{query}").parse().context("cannot make a request")?;
    let mut request = Request::builder().method(method).uri(uri);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request
        .body(Body::from(body.unwrap_or_default()))
        .context("cannot make a request")?;
    let Ok(answer) = router.clone().oneshot(request).await;
    let status = answer.status();
    let body = answer.into_body().collect().await.context("cannot read an answer")?.to_bytes();
    Ok(Answer {
        status,
        body: body.to_vec(),
    })
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    Ok(serde_json::from_slice(&answer.body).context("the answer is not what this version of hookyard expects")?)
}

/// The title of what somebody else changed at the same moment: the same command may succeed now.
const CHANGED: &str = "changed meanwhile";

/// What a refusal means for the exit code.
fn refused(answer: &Answer) -> Failure {
    let Ok(problem) = serde_json::from_slice::<ProblemDocument>(&answer.body) else {
        let status = answer.status;
        return Failure::Failed(anyhow::anyhow!("the server answered {status}; is --server right?"));
    };
    match answer.status {
        StatusCode::NOT_FOUND => Failure::NotFound(problem.detail),
        StatusCode::UNPROCESSABLE_ENTITY => Failure::Invalid(problem.detail),
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PAYLOAD_TOO_LARGE => {
            Failure::Usage(problem.detail)
        }
        StatusCode::CONFLICT if problem.title != CHANGED => Failure::Usage(problem.detail),
        _ => Failure::Failed(anyhow::anyhow!(problem.detail)),
    }
}
