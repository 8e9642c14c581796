//! What is sent along so that a receiver knows us, besides the signature.
//!
//! A bearer token by client credentials (RFC 6749, section 4.4) is fetched for each attempt, over the same way out as the
//! delivery: a token endpoint is called at no address that deliveries may not go to. That it cannot be fetched is a failure
//! of the attempt that may pass.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hookyard_domain::attempt::ErrorClass;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::{
    configuration::OutboundAuth,
    egress::{Egress, Failure},
};

/// Bytes of a token endpoint's answer: tokens with many claims have some 10 KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// The header to send along.
///
/// # Errors
/// A value that no header can hold, which was refused before it was stored; or the token cannot be fetched.
pub(super) async fn header(auth: &OutboundAuth, egress: &Egress, deadline: Duration) -> Result<(HeaderName, HeaderValue), Failure> {
    let name = |name: &str| HeaderName::try_from(name).map_err(|error| Failure::new(ErrorClass::Internal, error.to_string()));
    match auth {
        OutboundAuth::ApiKey { header_name, value } => Ok((name(header_name)?, secret(value)?)),
        OutboundAuth::BearerToken { token } => Ok((header::AUTHORIZATION, secret(&format!("Bearer {token}"))?)),
        OutboundAuth::BasicAuth { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{password}"));
            Ok((header::AUTHORIZATION, secret(&format!("Basic {pair}"))?))
        }
        OutboundAuth::JwtBearer {
            token_endpoint,
            client_id,
            client_secret,
            scope,
        } => {
            let mut pairs = vec![
                ("grant_type", "client_credentials"),
                ("client_id", client_id),
                ("client_secret", client_secret),
            ];
            pairs.extend(scope.as_deref().map(|scope| ("scope", scope)));
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let token = fetch(egress, token_endpoint, form, deadline).await?;
            Ok((header::AUTHORIZATION, secret(&format!("Bearer {token}"))?))
        }
    }
}

async fn fetch(egress: &Egress, endpoint: &str, form: String, deadline: Duration) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Token {
        access_token: String,
    }
    // Not the receiver's failure, so it moves no breaker (D3).
    let failed = |problem: &str| Failure::new(ErrorClass::Auth, format!("the token endpoint: {problem}"));
    let url = Url::parse(endpoint).map_err(|error| failed(&error.to_string()))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let answer = egress
        .ask(&url, headers, Bytes::from(form), deadline, ANSWER_BYTES_MAX)
        .await
        .map_err(|failure| failed(&failure.detail))?;
    if !(200..300).contains(&answer.status) {
        return Err(failed(&format!("it answered {}", answer.status)));
    }
    // What it answered is not repeated: it may be half a token.
    let token: Token = serde_json::from_slice(&answer.head).map_err(|_| failed("its answer has no access_token"))?;
    Ok(token.access_token)
}

/// A value that no log shows.
fn secret(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Failure::new(ErrorClass::Internal, "the outbound authentication holds what no header can"))?;
    value.set_sensitive(true);
    Ok(value)
}
