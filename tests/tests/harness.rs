//! The harness itself: an event goes all the way, on both databases, in process and through the binary.

use hookyard_tests::{
    database::{Kind, TestDatabase},
    host::TestHost,
    on_both_databases,
    proxy::Proxy,
    receiver::{Receiver, Reply},
    server::{self, Server},
    setup::{Endpoint, Sender, SetupFile, Tenant, endpoint_token, sender_token},
    wait::PATIENCE,
};

on_both_databases!(
    an_event_reaches_its_endpoint_in_process,
    an_event_reaches_its_endpoint_through_the_binary
);

fn setup(receiver: &Receiver) -> SetupFile {
    let tenant = Tenant::named("acme")
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
        .sender(Sender::new("plain"));
    SetupFile::new().tenant(tenant)
}

async fn an_event_reaches_its_endpoint_in_process(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind).setup(setup(&receiver)).start().await;
    let answer = host.client().post(&endpoint_token("acme", "hook"), r#"{"n":1}"#).send().await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    receiver.wait_for(1).await;
    host.restart().await;
    let answer = host.client().post(&sender_token("acme", "plain"), r#"{"n":2}"#).send().await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let received = receiver.wait_for(2).await;
    assert_eq!(
        (&received[0].body[..], &received[1].body[..]),
        (&br#"{"n":1}"#[..], &br#"{"n":2}"#[..])
    );
    host.stop().await;
}

async fn an_event_reaches_its_endpoint_through_the_binary(kind: Kind) {
    let receiver = Receiver::start().await;
    let database = TestDatabase::fresh(kind).await;
    let tenants = server::apply(&database, &setup(&receiver)).await;
    let mut server = Server::on(&database).tenants(&tenants).start().await;
    let token = endpoint_token("acme", "hook");
    assert_eq!(server.client().post(&token, "{}").send().await.status, 202);
    receiver.wait_for(1).await;
    server.kill().await;
    let mut server = Server::on(&database).tenants(&tenants).start().await;
    assert_eq!(server.client().post(&token, "{}").send().await.status, 202);
    receiver.wait_for(2).await;
    assert!(server.stop().await.success());
    assert!(server.log().contains("hookyard has stopped"), "{}", server.log());
}

#[tokio::test]
async fn a_receiver_does_as_it_is_told() {
    let receiver = Receiver::start().await;
    receiver.script("/x", [Reply::Status(503), Reply::Close, Reply::Text(201, "made".to_owned())]);
    let client = hookyard_tests::client::Client::new("", Default::default());
    let post = || client.post_to(&receiver.url("/x"), "{}").try_send();
    assert_eq!(post().await.expect("it answers").status, 503);
    assert!(post().await.is_err());
    for _ in 0..2 {
        let answer = post().await.expect("it answers");
        assert_eq!((answer.status, answer.text().as_str()), (201, "made"));
    }
    assert_eq!(receiver.received_at("/x").len(), 4);
}

#[tokio::test]
async fn a_cut_wire_fails_and_a_restored_one_works() {
    let receiver = Receiver::start().await;
    let proxy = Proxy::before(&receiver.url("/")).await;
    let client = hookyard_tests::client::Client::new("", Default::default());
    let post = || client.post_to(&proxy.url(), "{}").try_send();
    assert!(post().await.is_ok());
    proxy.cut();
    assert!(post().await.is_err());
    proxy.restore();
    assert!(post().await.is_ok());
    proxy.stall();
    let stalled = tokio::spawn(post());
    tokio::task::yield_now().await;
    assert!(!stalled.is_finished());
    proxy.restore();
    let answered = tokio::time::timeout(PATIENCE, stalled).await.expect("what was stalled goes on");
    assert!(answered.expect("no panic").is_ok());
}
