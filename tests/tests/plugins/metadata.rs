//! How an endpoint's metadata, any JSON object, reaches a plugin.

use std::collections::BTreeMap;

use hookyard_tests::{
    database::Kind,
    host::TestHost,
    on_both_databases,
    receiver::Receiver,
    routing::*,
    setup::{Endpoint, SetupFile, Tenant},
};
use toml::{Table, Value};

on_both_databases!(a_plugin_sees_the_top_level_keys_and_text_for_every_value);

async fn a_plugin_sees_the_top_level_keys_and_text_for_every_value(kind: Kind) {
    let receiver = Receiver::start().await;
    let metadata: Table = [
        ("region", Value::from("eu")),
        ("number in quotes", Value::from("5")),
        ("number", Value::from(5)),
        ("share", Value::from(0.5)),
        ("wanted", Value::from(true)),
        ("empty", Value::from("")),
        ("repos", Value::from(vec!["acme/api", "acme/\"web\""])),
        ("owner", Value::from(Table::from_iter([("team".to_owned(), Value::from(7))]))),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    let tenant = Tenant::named(TENANT)
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")).field("metadata", metadata))
        .endpoint(Endpoint::new("bare", &receiver.url("/bare")))
        .sender(sender_in("metadata"));
    let mut host = TestHost::builder(kind)
        .setup(SetupFile::new().tenant(tenant))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    let event = post(&host, "metadata", "{}").await;
    let explanation = delivered(&host, event).await;
    let seen: BTreeMap<&str, &str> = explanation
        .detail
        .annotations
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let expected = BTreeMap::from([
        ("hook.region", "eu"),
        ("hook.number in quotes", "5"),
        ("hook.number", "5"),
        ("hook.share", "0.5"),
        ("hook.wanted", "true"),
        ("hook.empty", ""),
        ("hook.repos", r#"["acme/api","acme/\"web\""]"#),
        ("hook.owner", r#"{"team":7}"#),
    ]);
    assert_eq!(seen, expected);
    host.stop().await;
}
