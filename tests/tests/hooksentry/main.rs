//! HookSentry's management routes against docs/contracts/hooksentry.md: log-ins, every resource with its codes, who may do
//! what, what another tenant learns, lists, mappings, and an event's way from ingest to replay.

mod accounts;
mod codes;
mod document;
mod inbound;
mod isolation;
mod journey;
mod lists;
mod mappings;
mod matrix;
mod roles;

use hookyard_tests::{client::Answer, database::Kind, host::TestHost, openapi::NOBODY, wait::until};
use http::Method;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

/// A running server with the tenants a test made over HTTP.
struct Yard {
    host: TestHost,
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
struct Account {
    tenant: String,
    user: String,
    email: String,
    access: String,
    refresh: String,
}

impl Yard {
    async fn on(kind: Kind) -> Self {
        Self {
            host: TestHost::builder(kind).start().await,
        }
    }

    async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Answer {
        self.host.client().call(method, path, token, body).await
    }

    async fn get(&self, path: &str, account: &Account) -> Answer {
        self.call(Method::GET, path, Some(&account.access), None).await
    }

    async fn post(&self, path: &str, account: &Account, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(&account.access), Some(body)).await
    }

    async fn patch(&self, path: &str, account: &Account, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(&account.access), Some(body)).await
    }

    async fn delete(&self, path: &str, account: &Account) -> Answer {
        self.call(Method::DELETE, path, Some(&account.access), None).await
    }

    /// Makes a tenant and logs its owner in.
    async fn tenant(&self, name: &str) -> Account {
        let email = format!("owner@{name}.example");
        let body = json!({ "name": name, "ownerEmail": email, "ownerPassword": PASSWORD, "maxTrys": 2 });
        let made = self.call(Method::POST, "/api/v1/tenants", None, Some(&body)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        self.log_in(&email).await
    }

    async fn log_in(&self, email: &str) -> Account {
        let answer = self.try_log_in(email, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let tokens = answer.json();
        let claims = claims(text(&tokens["accessToken"]));
        Account {
            tenant: text(&claims["tenant_id"]).to_owned(),
            user: text(&claims["sub"]).to_owned(),
            email: email.to_owned(),
            access: text(&tokens["accessToken"]).to_owned(),
            refresh: text(&tokens["refreshToken"]).to_owned(),
        }
    }

    async fn try_log_in(&self, email: &str, password: &str) -> Answer {
        let body = json!({ "email": email, "password": password });
        self.call(Method::POST, "/api/v1/auth/login", None, Some(&body)).await
    }

    /// Makes a user of the owner's tenant and logs it in.
    async fn colleague(&self, owner: &Account, role: &str) -> Account {
        let email = format!("{}@{}.example", role.to_lowercase(), owner.tenant);
        let body = json!({ "email": email, "password": PASSWORD, "role": role });
        let made = self.post("/api/v1/users", owner, &body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        self.log_in(&email).await
    }

    /// Makes a destination and returns its object, with the token that is shown once.
    async fn destination(&self, account: &Account, url: &str) -> Value {
        let made = self.post("/api/v1/destinations", account, &json!({ "url": url })).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    async fn sender(&self, account: &Account, destination: &Value) -> Value {
        let path = format!("/api/v1/destinations/{}/senders", id(destination));
        let made = self.post(&path, account, &json!({})).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()
    }

    async fn api_key(&self, account: &Account) -> String {
        let made = self.post("/api/v1/apikeys", account, &json!({ "name": "Production" })).await;
        assert_eq!(made.status, 201, "{}", made.text());
        text(&made.json()["key"]).to_owned()
    }

    /// Posts an event by the token of a destination or sender.
    async fn ingest(&self, account: &Account, key: &str, thing: &Value, payload: &str) -> Answer {
        let client = self.host.client();
        let url = format!("{}/api/v1/ingest/{}/{}", client.base(), account.tenant, text(&thing["ingestToken"]));
        client.post_to(&url, payload.to_owned()).header("x-api-key", key).send().await
    }

    /// The event once it has this status.
    async fn event_in(&self, account: &Account, event: &str, status: &str) -> Value {
        let path = format!("/api/v1/events/{event}");
        until(&format!("event {event} is {status}"), async || {
            let answer = self.get(&path, account).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            Some(answer.json()).filter(|event| event["status"] == status)
        })
        .await
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text is expected: {value}"))
}

fn id(object: &Value) -> &str {
    text(&object["id"])
}

/// What an access token says, without asking whether it may.
fn claims(token: &str) -> Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = token.split('.').nth(1).expect("a token has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("it is base64url")).expect("it is JSON")
}
