//! `/api/v1/auth` (docs/contracts/hooksentry.md, section 4).

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    answers::{self, Refused},
    desk::{Desk, required},
    words,
};
use crate::{
    manage::{ACCESS_LASTS, Refusal, Tokens, User, check},
    store::SecretText,
};

/// docs/contracts/hooksentry.md, section 4.
const REFRESH_TOKEN_CHARS_MAX: usize = 512;

pub fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/api/v1/auth/login", post(log_in))
        .route("/api/v1/auth/refresh", post(refresh))
        .route("/api/v1/auth/logout", post(log_out))
}

#[derive(Deserialize)]
struct LogIn {
    email: Option<String>,
    password: Option<String>,
}

/// Ten failures from one address, or for one user, end it for a while. Whether the user exists makes no difference, so that
/// nobody learns it by counting.
async fn log_in(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let caller = desk.address(&head);
    let now = desk.edge.clock.now();
    let wanted: LogIn = desk.document(&head.headers, body).await?;
    let email = required(wanted.email, "email")?;
    let password = SecretText::new(required(wanted.password, "password")?);
    check::label(&email).map_err(|why| Refused::Invalid(format!("email {why}")))?;
    check::password(&password).map_err(|why| Refused::Invalid(format!("password {why}")))?;
    let email = check::normal_email(&email);
    let too_many = |wait| Refused::TooMany {
        why: "too many failed log-ins; wait before trying again",
        wait,
    };
    desk.logins_by_caller.take(caller, now).map_err(too_many)?;
    desk.logins_by_email.take(email.clone(), now).map_err(too_many)?;
    match desk.edge.sessions.log_in(&email, password, role_word).await {
        Ok(tokens) => {
            desk.logins_by_caller.forget(&caller);
            desk.logins_by_email.forget(&email);
            Ok(answer(&tokens))
        }
        Err(Refusal::NotFound { .. }) => Err(Refused::Unidentified),
        Err(refusal) => {
            desk.logins_by_caller.give_back(&caller);
            desk.logins_by_email.give_back(&email);
            Err(refusal.into())
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refresh {
    refresh_token: Option<String>,
}

impl Refresh {
    fn token(self) -> Result<String, Refused> {
        let token = required(self.refresh_token, "refreshToken")?;
        if token.chars().count() > REFRESH_TOKEN_CHARS_MAX || token.chars().any(char::is_control) {
            let why = format!("refreshToken must have at most {REFRESH_TOKEN_CHARS_MAX} characters, none of them a control character");
            return Err(Refused::Invalid(why));
        }
        Ok(token)
    }
}

async fn refresh(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let token = desk.document::<Refresh>(&head.headers, body).await?.token()?;
    match desk.edge.sessions.refresh(&token, role_word).await {
        Ok(tokens) => Ok(answer(&tokens)),
        Err(Refusal::NotFound { .. }) => Err(Refused::Unidentified),
        Err(refusal) => Err(refusal.into()),
    }
}

async fn log_out(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let person = desk.person(&head.headers).await?;
    let token = desk.document::<Refresh>(&head.headers, body).await?.token()?;
    match desk.edge.sessions.log_out(&person, &token).await {
        Ok(()) => Ok(answers::done()),
        Err(Refusal::NotFound { .. }) => Err(Refused::Unidentified),
        Err(refusal) => Err(refusal.into()),
    }
}

fn role_word(user: &User) -> &'static str {
    words::role(user.role)
}

/// `expiresAt` is when the refresh token runs out (docs/contracts/hooksentry.md, section 15.3).
fn answer(tokens: &Tokens) -> Response {
    Json(json!({
        "accessToken": tokens.access,
        "expiresIn": ACCESS_LASTS.as_secs(),
        "refreshToken": tokens.refresh.expose(),
        "expiresAt": tokens.expires_at.to_string(),
    }))
    .into_response()
}
