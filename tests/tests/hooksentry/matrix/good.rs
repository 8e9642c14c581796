//! One request for each operation that is carried out where nothing speaks against it, to be spoilt in every way that is
//! answered with another code.

use std::sync::atomic::{AtomicU32, Ordering};

use hookyard_tests::{
    client::{Answer, Client},
    openapi::{Document, Operation},
    receiver::{Receiver, Reply},
};
use http::Method;
use serde_json::{Value, json};

use crate::{Account, PASSWORD, Yard, id, text};

/// In an order in which all of them are carried out: what ends something comes after what needs it.
const OPERATIONS: &[&str] = &[
    "health",
    "logIn",
    "refresh",
    "createTenant",
    "showTenant",
    "changeTenant",
    "showWebhookSecret",
    "replaceWebhookSecret",
    "verifySignature",
    "listUsers",
    "createUser",
    "showUser",
    "changeUser",
    "listInvites",
    "createInvite",
    "register",
    "listApiKeys",
    "createApiKey",
    "listDestinations",
    "createDestination",
    "showDestination",
    "changeDestination",
    "listSenders",
    "createSender",
    "showSender",
    "changeSender",
    "saveMapping",
    "showMapping",
    "previewMapping",
    "preflight",
    "handshake",
    "ingest",
    "listEvents",
    "showEvent",
    "listAttempts",
    "replayEvent",
    "purgeQueue",
    "replaceSenderToken",
    "replaceDestinationToken",
    "deleteMapping",
    "deleteSender",
    "deleteDestination",
    "revokeApiKey",
    "deleteUser",
    "logOut",
];

/// A tenant with one of everything.
pub struct Things {
    pub owner: Account,
    /// Of a second log-in.
    refresh: String,
    /// A user whom nobody needs.
    user: String,
    pub key: String,
    key_id: String,
    invite: String,
    destination: Value,
    sender: Value,
    /// In `CriticalFailure`.
    event: String,
    destination_url: String,
}

/// By what a request says who it is from.
#[derive(Debug, Clone)]
pub enum Credential {
    None,
    Token(String),
    Key(String),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Good {
    id: String,
    pub method: Method,
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Option<String>,
}

impl Things {
    pub async fn made_in(yard: &Yard, receiver: &Receiver) -> Self {
        receiver.script("/bad", [Reply::Status(500), Reply::Status(200)]);
        let owner = yard.tenant("acme").await;
        let refresh = yard.log_in(&owner.email).await.refresh;
        let user = yard.colleague(&owner, "Developer").await.user;
        let key = yard.api_key(&owner).await;
        let keys = yard.get("/api/v1/apikeys", &owner).await.json();
        let invite = yard.post("/api/v1/invites", &owner, &json!({})).await.json();
        let tenant = format!("/api/v1/tenants/{}", owner.tenant);
        assert_eq!(yard.patch(&tenant, &owner, &json!({ "maxTrys": 1 })).await.status, 200);
        let failing = yard.destination(&owner, &receiver.url("/bad")).await;
        let event = yard.ingest(&owner, &key, &failing, "{}").await.event_id();
        yard.event_in(&owner, &event, "CriticalFailure").await;
        let destination = yard.destination(&owner, &receiver.url("/hook")).await;
        let sender = yard.sender(&owner, &destination).await;
        let mapping = format!("/api/v1/senders/{}/mapping", id(&sender));
        assert_eq!(yard.post(&mapping, &owner, &json!({ "a": "b" })).await.status, 200);
        Self {
            refresh,
            user,
            key,
            key_id: id(&keys["items"][0]).to_owned(),
            invite: text(&invite["token"]).to_owned(),
            destination,
            sender,
            event,
            destination_url: receiver.url("/another"),
            owner,
        }
    }

    /// A request for each operation of the document, in an order in which all of them are carried out.
    pub fn good(&self, document: &Document) -> Vec<Good> {
        let mut documented: Vec<&str> = document.operations.iter().map(|operation| operation.id.as_str()).collect();
        let mut known = OPERATIONS.to_vec();
        documented.sort_unstable();
        known.sort_unstable();
        assert_eq!(
            documented, known,
            "every operation of the document has a request here, and the other way round"
        );
        OPERATIONS.iter().map(|id| self.one(id, document)).collect()
    }

    /// A request for one operation; of several, no two make the same thing.
    pub fn one(&self, id: &str, document: &Document) -> Good {
        let operation = document.operations.iter().find(|operation| operation.id == id);
        let operation = operation.unwrap_or_else(|| panic!("no operation {id}"));
        let body = self.body(id);
        assert_eq!(body.is_some(), operation.takes_body, "{id}");
        Good {
            id: id.to_owned(),
            method: operation.method.clone(),
            path: operation.at(&|name| self.value(operation, name)),
            headers: Vec::new(),
            body: body.map(|body| body.to_string()),
        }
    }

    pub fn credential(&self, operation: &Operation) -> Credential {
        match operation.id.as_str() {
            "ingest" => Credential::Key(self.key.clone()),
            _ if operation.is_opened_by("accessToken") => self.owner_token(),
            _ => Credential::None,
        }
    }

    pub fn owner_token(&self) -> Credential {
        Credential::Token(self.owner.access.clone())
    }

    fn value(&self, operation: &Operation, name: &str) -> String {
        let kind = operation.path.split('/').nth(3).unwrap_or_default();
        let value = match (name, kind) {
            ("tenantId", _) | ("id", "tenants") => &self.owner.tenant,
            ("destinationId", _) | ("id", "destinations") => id(&self.destination),
            ("token", "invites") => &self.invite,
            ("token", _) => text(&self.destination["ingestToken"]),
            ("id", "users") => &self.user,
            ("id", "apikeys") => &self.key_id,
            ("id", "senders") => id(&self.sender),
            ("id", "events") => &self.event,
            _ => panic!("{}: what is {name}?", operation.path),
        };
        value.to_owned()
    }

    fn body(&self, id: &str) -> Option<Value> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let email = format!("n{number}@new.example");
        Some(match id {
            "logIn" => json!({ "email": self.owner.email, "password": PASSWORD }),
            "refresh" => json!({ "refreshToken": self.refresh }),
            "logOut" => json!({ "refreshToken": self.owner.refresh }),
            "createTenant" => json!({ "name": format!("tenant {number}"), "ownerEmail": email, "ownerPassword": PASSWORD }),
            "changeTenant" => json!({ "circuitBreakerTimer": 60 + number }),
            "verifySignature" => json!({ "payload": "{}", "signature": "sha256=" }),
            "createUser" | "register" => json!({ "email": email, "password": PASSWORD }),
            "changeUser" => json!({ "email": email }),
            "createInvite" | "createSender" => json!({}),
            "createApiKey" => json!({ "name": "another" }),
            "createDestination" => json!({ "url": self.destination_url }),
            "changeDestination" => json!({ "metadata": { "number": number } }),
            "changeSender" => json!({ "label": email }),
            "saveMapping" => json!({ "a": email }),
            "previewMapping" => json!({ "payload": { "b": 1 } }),
            "ingest" => json!({ "number": number }),
            _ => return None,
        })
    }
}

impl Good {
    pub fn get(path: &str) -> Self {
        Self {
            id: String::new(),
            method: Method::GET,
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub fn to_make_a_tenant(name: &str) -> Self {
        let body = json!({ "name": name, "ownerEmail": "a@b.example", "ownerPassword": PASSWORD });
        Self {
            method: Method::POST,
            body: Some(body.to_string()),
            ..Self::get("/api/v1/tenants")
        }
    }

    pub fn operation<'a>(&self, document: &'a Document) -> &'a Operation {
        let found = document.operations.iter().find(|operation| operation.id == self.id);
        found.expect("it was made for one of them")
    }

    /// The same of something else.
    pub fn about(&self, operation: &Operation, other: &str) -> Self {
        // Of two parameters the first one says whose it is.
        let first = operation
            .path
            .split('/')
            .position(|part| part.starts_with('{'))
            .expect("its path names something");
        let mut parts: Vec<&str> = self.path.split('/').collect();
        parts[first] = other;
        Self {
            path: parts.join("/"),
            ..self.clone()
        }
    }

    pub fn with_query(&self, query: &str) -> Self {
        Self {
            path: format!("{}?{query}", self.path),
            ..self.clone()
        }
    }

    pub fn with_body(&self, body: &str) -> Self {
        Self {
            body: Some(body.to_owned()),
            ..self.clone()
        }
    }

    pub fn of_type(&self, content_type: &str) -> Self {
        self.with_header("content-type", content_type)
    }

    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    pub async fn send(&self, client: &Client, credential: &Credential) -> Answer {
        let mut request = client.prepare(self.method.clone(), &self.path);
        if let Some(body) = &self.body {
            request = request.json(body.clone());
        }
        for (name, value) in self.headers.iter().chain(&credential.headers()) {
            request = request.header(name, value);
        }
        request.send().await
    }
}

impl Credential {
    pub fn headers(&self) -> Vec<(String, String)> {
        match self {
            Self::None => Vec::new(),
            Self::Token(token) => vec![("authorization".to_owned(), format!("Bearer {token}"))],
            Self::Key(key) => vec![("x-api-key".to_owned(), key.clone())],
        }
    }
}
