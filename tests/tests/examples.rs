//! The examples work as they are.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hookyard::manage::setup::file::{Secrets, read};
use hookyard_domain::{DeliveryState, Scope};
use hookyard_tests::{
    database::Kind,
    host::TestHost,
    on_both_databases,
    setup::{Endpoint, SetupFile, Tenant, endpoint_token, webhook_secret},
    wait,
};

/// How long the journey may take. It takes seconds; where it waits in vain it gives up by itself after 20, and says why.
const JOURNEY_MAX: Duration = Duration::from_secs(45);

/// Secrets of the right shape for every variable the example names.
struct Plausible;

impl Secrets for Plausible {
    fn variable(&self, name: &str) -> Result<String, String> {
        let prefix = match name {
            "ACME_GITHUB_TOKEN" => "sndr_",
            "ACME_ARCHIVE_TOKEN" => "dst_",
            _ => "",
        };
        Ok(format!("{prefix}{}.0123456789abcdef0123456789", name.to_lowercase()))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Err(format!("the example reads no file, but asks for {}", path.display()))
    }
}

#[test]
fn the_one_node_set_up_is_accepted() {
    let text = include_str!("../../examples/one-node/setup.toml");
    let setup = read(text, &Plausible).expect("the example is a good set-up");
    let tenant = &setup.tenants[0];
    assert_eq!((tenant.endpoints.len(), tenant.senders.len(), tenant.api_keys.len()), (2, 1, 1));
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn the_receiver_takes_what_hookyard_signs(kind: Kind) {
    // A secret that is plain text signs with its own bytes; a library that wants `whsec_` gets them in base64.
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(webhook_secret("acme")));
    let mut receiver = Running(
        Command::new(wait::built(example_binary))
            .arg("127.0.0.1:0")
            .env("WEBHOOK_SECRET", secret)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the receiver starts"),
    );
    let mut lines = BufReader::new(receiver.0.stdout.take().expect("its output is piped")).lines();
    let first = lines.next().expect("it says where it listens").expect("its output is text");
    let url = first.strip_prefix("listening on ").expect("it says where it listens").to_owned();

    let setup = SetupFile::new().tenant(Tenant::named("acme").endpoint(Endpoint::new("all", &url)));
    let mut host = TestHost::builder(kind).setup(setup).start().await;
    let accepted = host
        .client()
        .post(&endpoint_token("acme", "all"), r#"{"hello":"receiver"}"#)
        .send()
        .await;
    let event = accepted.event_id();
    wait::until("the delivery is settled", async || {
        let deliveries = host.store().deliveries_of_event(Scope::Operator, event.parse().ok()?).await.ok()?;
        deliveries
            .iter()
            .all(|delivery| delivery.state == DeliveryState::Delivered)
            .then_some(())
    })
    .await;
    let second = lines.next().expect("it prints the event").expect("its output is text");
    assert_eq!(second, format!("{event}: {{\"hello\":\"receiver\"}}"));
    host.stop().await;
}

/// Built by the same `cargo test --workspace`, or now if this suite runs alone.
fn example_binary() -> std::path::PathBuf {
    let folder = std::env::current_exe().expect("a test knows its path");
    let folder = folder
        .parent()
        .and_then(Path::parent)
        .expect("a test lies in target/<profile>/deps");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "receiver-example"])
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the example builds");
    folder.join("receiver-example")
}

async fn the_hooksentry_journey_ends_well(kind: Kind) {
    let mut host = TestHost::builder(kind).start().await;
    let said = host.database().folder().join("journey.txt");
    let output = File::create(&said).expect("the test's folder can be written");
    let mut journey = tokio::process::Command::new("python3")
        .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/hooksentry/journey.py")])
        .arg(host.client().base())
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a file can be written by two"))
        .stderr(output)
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("this example needs python3, 3.9 or later, which cannot be run: {error}"));
    let ended = tokio::time::timeout(JOURNEY_MAX, journey.wait()).await;
    let said = fs::read_to_string(&said).expect("its output is text");
    let well = matches!(&ended, Ok(Ok(status)) if status.success());
    assert!(well, "the journey came to {ended:?} after it had said:\n{said}");
    host.stop().await;
}

on_both_databases!(the_receiver_takes_what_hookyard_signs, the_hooksentry_journey_ends_well);
