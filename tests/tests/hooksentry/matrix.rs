//! Every code that the OpenAPI document has for a route really comes, on both databases: the pairs of operation and code are
//! read from the document, and each is brought about by a request. What no request of a test brings about is excused in
//! [`excuse`], with its reason. A code that comes and is not in the document fails as well.

mod good;
mod slow;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hookyard_tests::{
    client::{Answer, Client},
    database::Kind,
    host::TestHost,
    openapi::{Document, Operation},
    receiver::{Receiver, Reply},
    setup::sender_token,
    wait::{bounded_by, until},
};
use http::Method;
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use tokio::task::JoinSet;

use self::good::{Credential, Good, Things};
use crate::{NOBODY, PASSWORD, Yard, document, id, inbound};

/// Half of it is waited through, on a machine that has nothing else to do: a body may take 30 s to arrive.
const TEST_MAX: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_code_comes_on_sqlite() {
    bounded_by(TEST_MAX, every_documented_code_comes(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_code_comes_on_postgres() {
    bounded_by(TEST_MAX, every_documented_code_comes(Kind::Postgres)).await;
}

/// More than any management body may have, and any payload on these servers.
const TOO_LARGE: usize = 300 * 1_024;
const PAYLOAD_BYTES_MAX: usize = 64 * 1_024;
/// Changes of one thing at the same moment: each that is carried out makes all others begin again, and the fourth beginning
/// is refused.
const AT_ONCE: usize = 24;

/// Why no request here brings a code about.
fn excuse(kind: Kind, operation: &Operation, status: u16) -> Option<&'static str> {
    let reads = operation.method == Method::GET || ["verifySignature", "previewMapping"].contains(&operation.id.as_str());
    match (operation.id.as_str(), status) {
        ("handshake", 400) => Some("the body of a GET must break off while its sender still listens"),
        ("handshake", 503) => Some("256 MiB of other payloads must be on their way at that moment"),
        ("revokeApiKey", 409) => Some("of two who revoke at once, the second must look before the first is done and write afterwards"),
        (_, 503) if reads && kind == Kind::Sqlite => Some("a reader of an SQLite file waits for nobody, and the file cannot be cut off"),
        _ => None,
    }
}

/// What was answered so far.
struct Ledger {
    document: Document,
    seen: Mutex<BTreeSet<(String, u16)>>,
}

impl Ledger {
    fn note(&self, method: &Method, path: &str, status: u16, told: &str) {
        let Some(operation) = self.document.operation(method, path) else {
            panic!("{method} {path} is not in the document");
        };
        assert!(
            operation.statuses.contains(&status),
            "{method} {path} was answered {status}, which is not in the document: {told}"
        );
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((operation.id.clone(), status));
    }

    async fn ask(&self, client: &Client, good: &Good, credential: &Credential) -> Answer {
        let answer = good.send(client, credential).await;
        self.note(&good.method, &good.path, answer.status, &answer.text());
        answer
    }

    /// Asks, and expects this.
    async fn expect(&self, client: &Client, good: &Good, credential: &Credential, status: u16) {
        let answer = self.ask(client, good, credential).await;
        assert_eq!(answer.status, status, "{} {}: {}", good.method, good.path, answer.text());
    }

    /// Asks all at once.
    async fn ask_all(&self, client: &Client, all: Vec<Good>, credentials: &dyn Fn(&Good) -> Credential) {
        let mut asked = JoinSet::new();
        for good in all {
            let (client, credential) = (client.clone(), credentials(&good));
            asked.spawn(async move {
                let answer = good.send(&client, &credential).await;
                (good, answer)
            });
        }
        while let Some(answered) = asked.join_next().await {
            let (good, answer) = answered.expect("it is answered");
            self.note(&good.method, &good.path, answer.status, &answer.text());
        }
    }
}

async fn every_documented_code_comes(kind: Kind) {
    let host = TestHost::builder(kind)
        .config(|config| config.body_bytes_max = PAYLOAD_BYTES_MAX)
        .start()
        .await;
    let ledger = Ledger {
        document: Document::of(host.client(), document::PATH).await,
        seen: Mutex::default(),
    };
    // Bodies that are not sent to their end take half a minute and next to no work.
    tokio::join!(
        Box::pin(whoever_asks_and_whatever_they_send(&ledger, Yard { host })),
        Box::pin(bodies_that_do_not_arrive(&ledger, kind)),
        Box::pin(services_that_ask_first(&ledger, kind)),
        // One after the other: each has a server of its own, and the cluster so many connections.
        Box::pin(async {
            at_the_same_moment(&ledger, kind).await;
            a_broken_database(&ledger, kind).await;
            a_database_that_is_away(&ledger, kind).await;
            closed_registration(&ledger, kind).await;
        }),
    );
    let seen = ledger.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Vec::new();
    for operation in &ledger.document.operations {
        for &status in &operation.statuses {
            let came = seen.contains(&(operation.id.clone(), status));
            match (came, excuse(kind, operation, status)) {
                (false, None) => wrong.push(format!("{} never answered {status}", operation.id)),
                (true, Some(why)) => wrong.push(format!("{} answered {status}, so it needs no excuse: {why}", operation.id)),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn whoever_asks_and_whatever_they_send(ledger: &Ledger, yard: Yard) {
    let receiver = Receiver::start().await;
    let things = Things::made_in(&yard, &receiver).await;
    let viewer = Credential::Token(yard.colleague(&things.owner, "Viewer").await.access);
    let stranger = yard.tenant("stranger").await;
    let strangers_key = Credential::Key(yard.api_key(&stranger).await);
    let stranger = Credential::Token(stranger.access);
    let client = yard.host.client();
    for good in things.good(&ledger.document) {
        let operation = good.operation(&ledger.document);
        let own = things.credential(operation);
        if operation.is_opened_by("accessToken") {
            ledger.expect(client, &good, &Credential::None, 401).await;
        }
        if operation.is_opened_by("accessToken") && operation.statuses.contains(&403) {
            let whoever = if operation.of_one() { &stranger } else { &viewer };
            ledger.expect(client, &good, whoever, 403).await;
        }
        if operation.of_one() {
            for other in [NOBODY, "not-a-uuid"] {
                ledger.ask(client, &good.about(operation, other), &own).await;
            }
        }
        if operation.parameters.contains("Qt") {
            ledger.expect(client, &good.with_query("Qt=0"), &own, 400).await;
        }
        if operation.takes_body {
            ledger.expect(client, &good.with_body("{"), &own, 400).await;
            ledger.expect(client, &good.of_type("text/plain"), &own, 415).await;
            // Announced and not sent: a client that is still sending when it is refused may miss the answer.
            let status = slow::status(client.base(), &good, &own, TOO_LARGE).await;
            ledger.note(&good.method, &good.path, status, "");
            assert_eq!(status, 413, "{}", good.path);
        }
    }
    at_ingest(ledger, &yard, &things, &strangers_key).await;
    of_the_state_of_things(ledger, &yard, &things).await;
    for good in things.good(&ledger.document) {
        let operation = good.operation(&ledger.document);
        let answer = ledger.ask(client, &good, &things.credential(operation)).await;
        // What asks whether an address is meant is answered elsewhere.
        let well = (200..300).contains(&answer.status) || operation.id == "handshake";
        assert!(well, "{} {}: {} {}", good.method, good.path, answer.status, answer.text());
    }
    too_often(ledger, &yard, &things).await;
}

async fn at_ingest(ledger: &Ledger, yard: &Yard, things: &Things, strangers_key: &Credential) {
    let client = yard.host.client();
    let good = things.one("ingest", &ledger.document);
    let own = Credential::Key(things.key.clone());
    ledger.expect(client, &good, &Credential::None, 401).await;
    ledger.expect(client, &good, strangers_key, 403).await;
    let again = good.with_header("x-idempotency-key", "k");
    ledger.expect(client, &again, &own, 202).await;
    ledger.expect(client, &again, &own, 200).await;
    let change = things.one("changeDestination", &ledger.document);
    let owner = things.owner_token();
    ledger
        .expect(client, &change.with_body(r#"{"status":"Inactive"}"#), &owner, 200)
        .await;
    ledger.expect(client, &good, &own, 422).await;
    ledger
        .expect(client, &change.with_body(r#"{"status":"Active"}"#), &owner, 200)
        .await;
}

/// Conflicts and other refusals of what is there.
async fn of_the_state_of_things(ledger: &Ledger, yard: &Yard, things: &Things) {
    let client = yard.host.client();
    let owner = things.owner_token();
    let of = |id: &str| things.one(id, &ledger.document);
    let taken = json!({ "email": things.owner.email, "password": PASSWORD, "name": "stranger" }).to_string();
    for id in ["changeTenant", "createUser", "changeUser"] {
        ledger.expect(client, &of(id).with_body(&taken), &owner, 409).await;
    }
    ledger
        .expect(client, &of("register").with_body(&taken), &Credential::None, 409)
        .await;
    let tenant = json!({ "name": "stranger", "ownerEmail": "x@y.example", "ownerPassword": PASSWORD }).to_string();
    ledger
        .expect(client, &of("createTenant").with_body(&tenant), &Credential::None, 409)
        .await;
    let last_owner = of("deleteUser").about(of("deleteUser").operation(&ledger.document), &things.owner.user);
    ledger.expect(client, &last_owner, &owner, 409).await;
    let wrong = json!({ "email": things.owner.email, "password": "wrong" }).to_string();
    ledger.expect(client, &of("logIn").with_body(&wrong), &Credential::None, 401).await;
    let made_up = json!({ "refreshToken": "made up" }).to_string();
    ledger
        .expect(client, &of("refresh").with_body(&made_up), &Credential::None, 401)
        .await;
    let nobodys = of("register").about(of("register").operation(&ledger.document), "nobodys");
    ledger.expect(client, &nobodys, &Credential::None, 404).await;
    let too_large = r#"{ "mapping": { "n": "a" }, "payload": { "a": 1e400 } }"#;
    ledger.expect(client, &of("previewMapping").with_body(too_large), &owner, 422).await;
    // One that is on its way is not replayed.
    let accepted = ledger.ask(client, &of("ingest"), &Credential::Key(things.key.clone())).await;
    yard.event_in(&things.owner, &accepted.event_id(), "Succeeded").await;
    let replay = of("replayEvent").about(of("replayEvent").operation(&ledger.document), &accepted.event_id());
    ledger.expect(client, &replay, &owner, 400).await;
}

/// Of many who change one thing at once, some are told to do it again.
async fn at_the_same_moment(ledger: &Ledger, kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let things = Things::made_in(&yard, &receiver).await;
    let client = yard.host.client();
    let owner = things.owner_token();
    for id in [
        "changeTenant",
        "replaceWebhookSecret",
        "changeDestination",
        "replaceDestinationToken",
        "changeSender",
        "replaceSenderToken",
        "saveMapping",
        "deleteMapping",
    ] {
        until(&format!("{id} is answered 409"), async || {
            let all = (0..AT_ONCE).map(|_| things.one(id, &ledger.document)).collect();
            ledger.ask_all(client, all, &|_| owner.clone()).await;
            ledger.came(id, 409).then_some(())
        })
        .await;
    }
    for (delete, change) in [("deleteSender", "changeSender"), ("deleteDestination", "changeDestination")] {
        until(&format!("{delete} is answered 409"), async || {
            // One that may be gone afterwards.
            let destination = yard.destination(&things.owner, "http://127.0.0.1:1/spare").await;
            let spare = match delete {
                "deleteSender" => yard.sender(&things.owner, &destination).await,
                _ => destination,
            };
            let of_spare = |good: Good| good.about(good.operation(&ledger.document), id(&spare));
            let changes = (0..AT_ONCE).map(|_| of_spare(things.one(change, &ledger.document)));
            let mut all: Vec<Good> = changes.collect();
            all.insert(AT_ONCE / 2, of_spare(things.one(delete, &ledger.document)));
            ledger.ask_all(client, all, &|_| owner.clone()).await;
            ledger.came(delete, 409).then_some(())
        })
        .await;
    }
}

impl Ledger {
    fn came(&self, id: &str, status: u16) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(&(id.to_owned(), status))
    }
}

async fn too_often(ledger: &Ledger, yard: &Yard, things: &Things) {
    /// Above each of the limits.
    const TIMES: usize = 12;
    let client = yard.host.client();
    let wrong = json!({ "email": things.owner.email, "password": "wrong" }).to_string();
    let log_in = things.one("logIn", &ledger.document).with_body(&wrong);
    for _ in 0..TIMES {
        ledger.ask(client, &log_in, &Credential::None).await;
        for id in ["createTenant", "register"] {
            let good = things.one(id, &ledger.document);
            let answer = ledger.ask(client, &good, &Credential::None).await;
            assert_eq!(answer.status == 429, !answer.header("retry-after").is_empty(), "{id}");
        }
    }
}

async fn bodies_that_do_not_arrive(ledger: &Ledger, kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let things = Things::made_in(&yard, &receiver).await;
    let mut asked = JoinSet::new();
    for good in things.good(&ledger.document) {
        let operation = good.operation(&ledger.document);
        if operation.takes_body {
            let (base, credential) = (yard.host.client().base().to_owned(), things.credential(operation));
            asked.spawn(async move {
                let status = slow::status(&base, &good, &credential, 10).await;
                (good, status)
            });
        }
    }
    while let Some(answered) = asked.join_next().await {
        let (good, status) = answered.expect("it is answered");
        ledger.note(&good.method, &good.path, status, "");
        assert_eq!(status, 408, "{}", good.path);
    }
}

/// Tables that are not there: a defect as far as the server can tell.
async fn a_broken_database(ledger: &Ledger, kind: Kind) {
    let yard = Yard::on(kind).await;
    let receiver = Receiver::start().await;
    let things = Things::made_in(&yard, &receiver).await;
    for table in ["session", "user_account", "invite", "event"] {
        let statement = format!("ALTER TABLE {table} RENAME TO {table}_gone");
        yard.host.database().execute(&statement).await;
    }
    for good in things.good(&ledger.document) {
        let operation = good.operation(&ledger.document);
        if operation.statuses.contains(&500) {
            ledger.expect(yard.host.client(), &good, &things.credential(operation), 500).await;
        }
    }
}

async fn a_database_that_is_away(ledger: &Ledger, kind: Kind) {
    let builder = TestHost::builder(kind);
    let builder = match kind {
        Kind::Postgres => builder.through_proxy(),
        Kind::Sqlite => builder,
    };
    let yard = Yard {
        host: builder.start().await,
    };
    let receiver = Receiver::start().await;
    let things = Things::made_in(&yard, &receiver).await;
    let mut all = things.good(&ledger.document);
    all.retain(|good| excuse(kind, good.operation(&ledger.document), 503).is_none());
    let credentials = |good: &Good| things.credential(good.operation(&ledger.document));
    match kind {
        Kind::Postgres => {
            yard.host.proxy().cut();
            ledger.ask_all(yard.host.client(), all, &credentials).await;
        }
        Kind::Sqlite => {
            // Somebody else writes, and does not end: writers wait in vain.
            let mut other = SqliteConnection::connect(yard.host.database().url()).await.expect("it opens");
            sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("it begins");
            ledger.ask_all(yard.host.client(), all, &credentials).await;
            sqlx::query("ROLLBACK").execute(&mut other).await.expect("it ends");
        }
    }
}

async fn closed_registration(ledger: &Ledger, kind: Kind) {
    let host = TestHost::builder(kind)
        .config(|config| config.registration = hookyard::config::Registration::Closed)
        .start()
        .await;
    let good = Good::to_make_a_tenant("closed");
    ledger.expect(host.client(), &good, &Credential::None, 403).await;
}

/// GET at ingest, of a sender whose service asks by it.
async fn services_that_ask_first(ledger: &Ledger, kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/hook", [Reply::Status(200)]);
    let host = inbound::host(kind, "slack", &receiver).await;
    let client = host.client();
    let path = host.ingest_url(&sender_token("acme", "service")).replace(client.base(), "");
    let asked = Good::get(&path);
    ledger
        .expect(client, &asked.with_query("ssl_check=1&token=x"), &Credential::None, 200)
        .await;
    ledger.expect(client, &asked, &Credential::None, 401).await;
    for (announced, expected) in [(10, 408), (100 << 20, 413)] {
        let status = slow::status(client.base(), &asked, &Credential::None, announced).await;
        ledger.note(&asked.method, &asked.path, status, "");
        assert_eq!(status, expected);
    }
}
