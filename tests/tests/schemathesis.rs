//! Schemathesis asks the server whatever its OpenAPI documents allow, and what they do not allow, and holds each answer
//! against its document: no 5xx, no code and no body that is not in it, nothing taken that is wrong by a schema, nothing
//! refused that is right.
//!
//! How it is asked is in `fixtures/schemathesis`: what is left out there has its reason beside it. That each documented code
//! comes is the suite `hooksentry`'s, in `matrix`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hookyard_tests::{
    client::{Answer, Client},
    database::Kind,
    host::TestHost,
    python,
    receiver::Receiver,
    server,
    wait::until,
};
use http::Method;
use serde_json::{Value, json};

/// What a run is worth.
const CASES_MIN: u64 = 2_000;
const OWN_CASES_MIN: u64 = 1_000;
/// It takes half a minute on two cores that have nothing else to do.
const RUN_MAX: Duration = Duration::from_mins(3);
/// Lines of what it says that are shown when it fails.
const LINES_SHOWN: usize = 200;

/// A server and who asks it.
struct Run {
    host: TestHost,
    token: String,
    key: String,
    tenant: String,
    ingest_token: String,
    /// Ids of what the run needs to its end.
    kept: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_document_says_on_sqlite() {
    answers_are_what_the_document_says(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_document_says_on_postgres() {
    answers_are_what_the_document_says(Kind::Postgres).await;
}

async fn answers_are_what_the_document_says(kind: Kind) {
    let receiver = Receiver::start().await;
    let run = Run::prepare(kind, &receiver).await;
    let variables = [
        ("HOOKYARD_ACCESS_TOKEN", run.token.as_str()),
        ("HOOKYARD_API_KEY", &run.key),
        ("HOOKYARD_TENANT", &run.tenant),
        ("HOOKYARD_INGEST_TOKEN", &run.ingest_token),
        ("HOOKYARD_KEPT", &run.kept.join(",")),
    ];
    ask(&run.host, "schemathesis.toml", "/swagger/v1/swagger.json", &variables, CASES_MIN).await;
    // Else it would have heard 401 from some moment on, which is in the document too.
    let users = run.host.client().call(Method::GET, "/api/v1/users", Some(&run.token), None).await;
    assert_eq!(users.status, 200, "the run shut itself out");
    assert!(!receiver.received().is_empty(), "nothing came in by ingest");
}

impl Run {
    /// A tenant with what nobody can guess.
    async fn prepare(kind: Kind, receiver: &Receiver) -> Self {
        let host = TestHost::builder(kind).start().await;
        let client = host.client();
        let owner = json!({ "email": "owner@acme.example", "password": "correct horse battery" });
        let tenant = json!({ "name": "acme", "ownerEmail": owner["email"], "ownerPassword": owner["password"] });
        let tenant = made(client, "/api/v1/tenants", None, &tenant).await;
        let tokens = client.call(Method::POST, "/api/v1/auth/login", None, Some(&owner)).await.json();
        let token = text(&tokens["accessToken"]);
        let key = made(client, "/api/v1/apikeys", Some(&token), &json!({ "name": "Production" })).await;
        let url = json!({ "url": receiver.url("/hook") });
        let destination = made(client, "/api/v1/destinations", Some(&token), &url).await;
        Self {
            key: text(&key["key"]),
            tenant: text(&tenant["tenantId"]),
            ingest_token: text(&destination["ingestToken"]),
            kept: [&tenant["ownerUserId"], &key["id"], &destination["id"]].map(text).into(),
            token,
            host,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_answers_are_what_the_document_says_on_sqlite() {
    our_own_answers_are_what_the_document_says(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_answers_are_what_the_document_says_on_postgres() {
    our_own_answers_are_what_the_document_says(Kind::Postgres).await;
}

/// As the operator, who may do everything.
async fn our_own_answers_are_what_the_document_says(kind: Kind) {
    let host = TestHost::builder(kind).start().await;
    let client = host.client();
    let made_token = server::run(host.database(), &["token", "create", "--rights", "write"]).await;
    assert!(made_token.status.success(), "{}", String::from_utf8_lossy(&made_token.stderr));
    let token = String::from_utf8(made_token.stdout).expect("a token is text").trim().to_owned();
    until("the server knows the token", async || {
        let status = client.call(Method::GET, "/api/v1/status", Some(&token), None).await.status;
        (status == 200).then_some(())
    })
    .await;
    let tokens = client.call(Method::GET, "/api/v1/credentials", Some(&token), None).await.json();
    let tenant = made(client, "/api/v1/tenants", Some(&token), &json!({ "name": "acme" })).await;
    let things = json!({ "tenant": tenant["id"] });
    let sender = made(client, "/api/v1/senders", Some(&token), &things).await;
    let kept = [&tokens["items"][0]["id"], &sender["id"]].map(text).join(",");
    let tenant = text(&tenant["id"]);
    let variables = [
        ("HOOKYARD_TOKEN", token.as_str()),
        ("HOOKYARD_TENANT", &tenant),
        ("HOOKYARD_KEPT", &kept),
    ];
    ask(&host, "own.toml", "/swagger/hookyard/openapi.json", &variables, OWN_CASES_MIN).await;
    let tenants = client.call(Method::GET, "/api/v1/tenants", Some(&token), None).await;
    assert_eq!(tenants.status, 200, "the run shut itself out");
}

/// Runs to the end: nothing failed, and nothing was left out.
async fn ask(host: &TestHost, settings: &str, document: &str, variables: &[(&str, &str)], cases_min: u64) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schemathesis");
    let program = python::programs(&fixtures.join("requirements.txt")).join("schemathesis");
    // It leaves files where it runs.
    let folder = host.database().folder().join("schemathesis");
    std::fs::create_dir_all(&folder).expect("the test's folder can be written");
    let (said, report) = (folder.join("said.txt"), folder.join("report.json"));
    let output = File::create(&said).expect("the test's folder can be written");
    let mut running = tokio::process::Command::new(program)
        .arg("--config-file")
        .arg(fixtures.join(settings))
        .args(["run", &format!("{}{document}", host.client().base())])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .env("SCHEMATHESIS_HOOKS", fixtures.join("hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(variables.iter().copied())
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a file can be written by two"))
        .stderr(output)
        .kill_on_drop(true)
        .spawn()
        .expect("schemathesis can be run");
    let ended = tokio::time::timeout(RUN_MAX, running.wait()).await;
    let well = matches!(&ended, Ok(Ok(status)) if status.success());
    assert!(well, "schemathesis came to {ended:?} after it had said:\n{}", end_of(&said));
    let report: Value = serde_json::from_slice(&std::fs::read(&report).expect("it wrote a report")).expect("its report is JSON");
    let cases = &report["test_cases"];
    let generated = cases["generated"].as_u64().unwrap_or_default();
    println!("{document}: {generated} cases in {} s", report["running_time"]);
    assert!(generated >= cases_min, "only {generated} cases");
    assert_eq!((&cases["with_failures"], &cases["errored"]), (&json!(0), &json!(0)), "{cases}");
    let operations = &report["operations"];
    assert_eq!(operations["tested"], operations["total"], "{operations}");
}

async fn made(client: &Client, path: &str, token: Option<&str>, body: &Value) -> Value {
    let answer: Answer = client.call(Method::POST, path, token, Some(body)).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    answer.json()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text is expected").to_owned()
}

fn end_of(said: &PathBuf) -> String {
    let said = std::fs::read_to_string(said).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}
