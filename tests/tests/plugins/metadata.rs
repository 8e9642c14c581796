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

on_both_databases!(a_plugin_sees_the_top_level_keys_and_text_for_every_value);

/// Written past the set-up file, whose TOML has no null.
const METADATA: &str = r#"{"region":"eu","quoted":"5","number":5,"share":0.5,"wanted":true,"nothing":null,"empty":"","repos":["acme/api","a \"b\""],"owner":{"team":7}}"#;

async fn a_plugin_sees_the_top_level_keys_and_text_for_every_value(kind: Kind) {
    let receiver = Receiver::start().await;
    let tenant = Tenant::named(TENANT)
        .endpoint(Endpoint::new("hook", &receiver.url("/hook")))
        .endpoint(Endpoint::new("bare", &receiver.url("/bare")))
        .sender(sender_in("metadata"));
    let mut host = TestHost::builder(kind)
        .setup(SetupFile::new().tenant(tenant))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    host.stop().await;
    let update = format!("UPDATE endpoint SET metadata = '{METADATA}' WHERE name = 'hook'");
    host.database().execute(&update).await;
    host.start().await;
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
        ("hook.quoted", "5"),
        ("hook.number", "5"),
        ("hook.share", "0.5"),
        ("hook.wanted", "true"),
        ("hook.nothing", "null"),
        ("hook.empty", ""),
        ("hook.repos", r#"["acme/api","a \"b\""]"#),
        ("hook.owner", r#"{"team":7}"#),
    ]);
    assert_eq!(seen, expected);
    host.stop().await;
}
