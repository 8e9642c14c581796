//! `/api/v1/auth` (docs/contracts/hooksentry.md, section 4).

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{ToSchema, openapi::ObjectBuilder};

use super::{
    answers::{self, Refused, documented},
    desk::{Desk, required},
    openapi::{self, Op, tag::LOG_INS},
    words,
};
use crate::{
    http::openapi::Routes,
    manage::{ACCESS_LASTS, Refusal, Tokens, User, check},
    store::SecretText,
};

/// docs/contracts/hooksentry.md, section 4.
const REFRESH_TOKEN_CHARS_MAX: usize = 512;

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::POST,
            "/api/v1/auth/login",
            log_in,
            Op::of_anyone("logIn", LOG_INS, "Logs somebody in")
                .takes::<LogIn>("Who it is.")
                .shows::<Pair<'_>>("a pair of tokens")
                .answers([
                    documented::unidentified("there is no such user, the password is wrong, or the user is inactive"),
                    documented::too_many("ten failures in five minutes, from this address or for this user"),
                ])
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/auth/refresh",
            refresh,
            Op::of_anyone(
                "refresh",
                LOG_INS,
                "Gives the next pair of tokens for a refresh token, which is used up by that",
            )
            .takes::<Refresh>("The refresh token.")
            .shows::<Pair<'_>>("the next pair of tokens")
            .answers([documented::unidentified(
                "the token is unknown, was used or ran out, or its user is inactive",
            )])
            .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/auth/logout",
            log_out,
            Op::of_person("logOut", LOG_INS, "Ends the sessions of both tokens")
                .takes::<Refresh>("The refresh token.")
                .ends("both are ended")
                .answers([documented::unidentified("the refresh token is not this user's, or not good")])
                .into(),
        )
}

/// Any text: that nobody has it is found out by looking.
fn email_schema() -> ObjectBuilder {
    openapi::label().min_length(Some(1))
}

fn refresh_token_schema() -> ObjectBuilder {
    openapi::line(REFRESH_TOKEN_CHARS_MAX).min_length(Some(1))
}

#[derive(Deserialize, ToSchema)]
struct LogIn {
    #[schema(schema_with = email_schema, required)]
    email: Option<String>,
    #[schema(schema_with = openapi::password, required)]
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

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RefreshToken)]
struct Refresh {
    #[schema(schema_with = refresh_token_schema, required)]
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

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tokens)]
struct Pair<'a> {
    access_token: &'a str,
    /// Seconds for which the access token is good.
    expires_in: u64,
    refresh_token: &'a str,
    /// When the refresh token runs out (docs/contracts/hooksentry.md, section 15.3).
    #[schema(schema_with = openapi::moment)]
    expires_at: String,
}

fn answer(tokens: &Tokens) -> Response {
    Json(Pair {
        access_token: &tokens.access,
        expires_in: ACCESS_LASTS.as_secs(),
        refresh_token: tokens.refresh.expose(),
        expires_at: tokens.expires_at.to_string(),
    })
    .into_response()
}
