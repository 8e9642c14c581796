//! A copy of the database that is made while a server works, and what comes of it: a server on the copy has every event that was
//! acknowledged before the copy was begun. Copying the file by other means lost what was still in the log.

use std::{collections::HashSet, path::Path, process::Stdio};

use hookyard_domain::Scope;
use hookyard_tests::{
    database::{Kind, TestDatabase},
    receiver::Receiver,
    server::{self, Server},
    setup::{Endpoint, SetupFile, Tenant, endpoint_token},
    wait,
};
use tokio_util::sync::CancellationToken;

const TENANT: &str = "acme";
/// Events that are acknowledged before the copy begins.
const BEFORE: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_copy_has_every_event_that_was_acknowledged_before_it_was_begun() {
    wait::bounded(async {
        let receiver = Receiver::start().await;
        let setup = SetupFile::new().tenant(Tenant::named(TENANT).endpoint(Endpoint::new("hook", &receiver.url("/hook"))));
        let database = TestDatabase::fresh(Kind::Sqlite).await;
        let tenants = server::apply(&database, &setup).await;
        let mut server = Server::on(&database).tenants(&tenants).start().await;
        let client = server.client().clone();
        let post = async || {
            let answer = client.post(&endpoint_token(TENANT, "hook"), "{}").send().await;
            assert_eq!(answer.status, 202, "{}", answer.text());
            answer.event_id()
        };
        let mut acknowledged = HashSet::new();
        for _ in 0..BEFORE {
            acknowledged.insert(post().await);
        }
        // More come in while it is copied.
        let copied = CancellationToken::new();
        let load = async {
            while !copied.is_cancelled() {
                post().await;
            }
        };
        let copy = database.folder().join("copy.db");
        let backup = async {
            let output = server::run(&database, &["backup", &copy.to_string_lossy()]).await;
            copied.cancel();
            output
        };
        let (output, ()) = tokio::join!(backup, load);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.kill().await;

        let again = server::run(&database, &["backup", &copy.to_string_lossy()]).await;
        assert_eq!(
            again.status.code(),
            Some(2),
            "nothing is replaced: {}",
            String::from_utf8_lossy(&again.stderr)
        );

        let restored = database.folder().join("restored.db");
        std::fs::rename(&copy, &restored).expect("the copy can be put in place");
        let url = format!("sqlite://{}", restored.display());
        let mut server = Server::on(&database).tenants(&tenants).env("DATABASE_URL", &url).start().await;
        // It is a whole server: it takes another event and delivers it.
        let answer = server.client().post(&endpoint_token(TENANT, "hook"), r#"{"after":1}"#).send().await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        let arrived = wait::until("an event arrives from the restored server", async || {
            receiver.received().into_iter().find(|received| received.body == r#"{"after":1}"#)
        });
        arrived.await;
        assert!(server.stop().await.success());
        let connection = rusqlite::Connection::open(&restored).expect("it opens");
        let mut statement = connection.prepare("SELECT id FROM event").expect("the table is there");
        let kept: HashSet<String> = statement
            .query_map([], |row| row.get::<_, uuid::Uuid>(0))
            .expect("it reads")
            .map(|id| id.expect("an id").to_string())
            .collect();
        assert!(
            acknowledged.is_subset(&kept),
            "{} of {}",
            acknowledged.intersection(&kept).count(),
            acknowledged.len()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_postgresql_the_command_says_what_makes_a_copy() {
    wait::bounded(async {
        let database = TestDatabase::fresh(Kind::Postgres).await;
        let output = server::run(&database, &["backup", "copy"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("pg_dump"), "{said}");
        assert!(!Path::new("copy").exists());
    })
    .await;
}

/// A new key beside a database that has another would only be taken for the right one.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_databases_key_makes_no_other() {
    wait::bounded(async {
        let database = TestDatabase::fresh(Kind::Sqlite).await;
        server::apply(&database, &SetupFile::new().tenant(Tenant::named(TENANT))).await;
        let data = database.folder().join("data");
        let key = data.join("hookyard.key");
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["status"]] {
            let ended = tokio::process::Command::new(server::binary())
                .args(command)
                .env("DATABASE_URL", database.url())
                .env("HOOKYARD_DATA_DIR", &data)
                .env_remove("HOOKYARD_SECRET_KEY")
                .stdin(Stdio::null())
                .output()
                .await
                .expect("hookyard can be run");
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(!ended.status.success() && said.contains("hookyard.key"), "{command:?}: {said}");
            assert!(!key.exists(), "{command:?}");
        }
        // With its key everything is as before.
        let store = database.open(hookyard_domain::Timestamp::EPOCH).await;
        assert_eq!(store.standing_events(Scope::Operator).await.expect("it reads"), []);
    })
    .await;
}
