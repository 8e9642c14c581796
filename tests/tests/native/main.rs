//! Hookyard's own API (docs/api.md): tokens and what they open, every resource, what another tenant learns, and the command
//! line as its client.

mod commands;
mod document;
mod isolation;
mod things;
mod tokens;
mod work;

use std::time::Duration;

use hookyard_tests::{
    client::Answer,
    database::{Kind, TestDatabase},
    host::TestHost,
    on_both_databases,
    receiver::{Receiver, Reply},
    server::{self, Server},
    setup::{Endpoint, Sender, SetupFile, Tenant, endpoint_token},
    wait::until,
};
use http::Method;
use serde_json::{Value, json};

fn acme(receiver: &Receiver) -> SetupFile {
    let tenant = |name: &str| {
        Tenant::named(name)
            .attempts_max(1)
            .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
            .endpoint(Endpoint::new("gone", &receiver.url("/gone")))
            .sender(Sender::new("github").endpoints(&["hook"]))
    };
    SetupFile::new().tenant(tenant("acme")).tenant(tenant("other"))
}

/// A token made on the database beside the server.
async fn token(database: &TestDatabase, args: &[&str]) -> String {
    let args: Vec<&str> = ["token", "create"].into_iter().chain(args.iter().copied()).collect();
    let output = server::run(database, &args).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a token is text").trim().to_owned()
}

/// A caller with a token.
struct Caller<'a> {
    host: &'a TestHost,
    token: String,
}

impl<'a> Caller<'a> {
    async fn of(host: &'a TestHost, args: &[&str]) -> Self {
        let token = token(host.database(), args).await;
        let caller = Self { host, token };
        until("the server knows the token", async || {
            (caller.get("/api/v1/status").await.status == 200).then_some(())
        })
        .await;
        caller
    }

    async fn operator(host: &'a TestHost) -> Self {
        Self::of(host, &["--rights", "write"]).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.host.client().call(method, path, Some(&self.token), body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }
}

#[track_caller]
fn is(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    if status >= 400 {
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["status"], status, "{}", answer.text());
    }
    answer.json()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}
