//! The command line as the client of a server.

use super::*;

on_both_databases!(commands_do_the_same_on_a_server_as_on_its_database,);

async fn commands_do_the_same_on_a_server_as_on_its_database(kind: Kind) {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::Status(404)]);
    let database = TestDatabase::fresh(kind).await;
    let setup = acme(&receiver);
    let tenants = server::apply(&database, &setup).await;
    let mut running = Server::on(&database).tenants(&tenants).start().await;
    let token = token(&database, &["--rights", "write"]).await;
    let base = running.client().base().to_owned();
    let there = async |args: &[&str]| {
        let reach = ["--server", &base, "--token", &token];
        server::run(&database, &args.iter().copied().chain(reach).collect::<Vec<_>>()).await
    };
    until("the server knows the token", async || {
        there(&["status"]).await.status.success().then_some(())
    })
    .await;
    let posted = running.client().post(&endpoint_token("acme", "gone"), "[1]").send().await;
    let event = posted.event_id();
    let delivery = until("the delivery has ended", async || {
        let output = there(&["deliveries", "--state", "rejected", "--format", "json"]).await;
        let list: Value = serde_json::from_slice(&output.stdout).expect("a list is JSON");
        list.get(0).map(|item| text(&item["id"]))
    })
    .await;
    let file = setup.write_into(&database.folder().join("setup"));
    let file = file.to_string_lossy().into_owned();
    let nobody = "0198a5b4-0000-7000-8000-000000000000";
    for args in [
        &["events", "--format", "json"][..],
        &["events", &event],
        &["events", &event, "--format", "json"],
        &["events", &event, "--payload"],
        &["events", nobody],
        &["events", "--state", "lost"],
        &["events", "--tenant", "nobody"],
        &["deliveries", &delivery],
        &["deliveries", &delivery, "--format", "json"],
        &["deliveries", nobody],
        &["status"],
        &["status", "--tenant", "acme", "--format", "json"],
        &["users", "list", "--tenant", "acme"],
        &["users", "list", "--tenant", "nobody"],
        &["replay", nobody],
        &["apply", "--file", &file],
        &["apply", "--file", &file, "--dry-run", "--format", "json"],
        &["token", "revoke", nobody],
    ] {
        let (here, there) = (server::run(&database, args).await, there(args).await);
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            here.status.code(),
            there.status.code(),
            "{args:?}: {} / {}",
            said(&here.stderr),
            said(&there.stderr)
        );
        assert_eq!(said(&here.stdout), said(&there.stdout), "{args:?}");
        assert_eq!(said(&here.stderr), said(&there.stderr), "{args:?}");
    }
    let replayed = there(&["replay", &delivery]).await;
    assert_eq!(String::from_utf8_lossy(&replayed.stdout).trim(), "1 put back to work");

    let wrong = server::run(&database, &["status", "--server", &base, "--token", "hym_wrong"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    let missing = server::run(&database, &["status", "--server", &base]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("--token"));
    running.stop().await;
    let away = there(&["status"]).await;
    assert_eq!(away.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&away.stderr).contains(&token), "no secret in an error");
}
