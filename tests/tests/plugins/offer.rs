//! The one entry for a new version, and what a node does about an active version that it cannot load.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hookyard::{
    clock::Clock,
    configuration::Configuration,
    installed::{Installed, Slot},
    plugins::{self, Answer, NotAsked, Offered, Plugins, Question, Unloadable, check_configs},
    store::Store,
    wasm::{Engine, Settings},
};
use hookyard_domain::{ContentHash, EventState, TenantId};
use hookyard_tests::{
    database::{Kind, TestDatabase},
    guests,
    host::TestHost,
    on_both_databases,
    receiver::Receiver,
    routing::*,
    server::{self, compiler},
    setup::{Sender, SetupFile, Tenant},
};

on_both_databases!(
    the_same_bytes_offered_at_once_are_activated_once,
    a_broken_module_is_refused_and_the_former_version_serves_on,
    a_name_no_sender_could_use_is_refused,
    a_damaged_module_is_replaced_by_an_offer_of_the_same_version,
    a_version_that_loads_again_is_tried_in_time_and_renewed,
    events_of_a_version_that_cannot_be_loaded_are_held_with_the_reason_until_it_can,
    a_question_about_a_configuration_never_fails_because_of_a_plugin,
    apply_goes_on_with_a_note_where_the_active_version_cannot_be_loaded
);

/// The plugin stage of one node, without a server around it.
struct Node {
    store: Store,
    installed: Arc<Installed>,
    configuration: Arc<Configuration>,
    plugins: Plugins,
    tenant: TenantId,
}

impl Node {
    async fn start(database: &TestDatabase) -> Self {
        let clock = Clock::default();
        let store = database.open(clock.now()).await;
        if database.kind() == Kind::Postgres {
            // What a node has in work counts for as long as it is alive.
            let registered = store.register_node(clock.now(), Duration::from_secs(60)).await;
            registered.expect("the store writes");
        }
        let setup = SetupFile::new().tenant(Tenant::named(TENANT).sender(sender_in("pass")));
        let tenant = setup.apply_in_process(&store, clock.now()).await[TENANT];
        let (installed, configuration) = (Arc::new(Installed::default()), Arc::new(Configuration::default()));
        let plugins = Plugins::new(plugins::Parts {
            store: store.clone(),
            engine: Engine::new(&Settings::default()).expect("an engine can be made"),
            compiler: compiler(),
            installed: Arc::clone(&installed),
            configuration: Arc::clone(&configuration),
            clock,
            metrics: Arc::default(),
        });
        let node = Self {
            store,
            installed,
            configuration,
            plugins,
            tenant,
        };
        node.reconcile(Unloadable::TryAgain).await;
        node
    }

    async fn reconcile(&self, unloadable: Unloadable) {
        self.configuration.refresh(&self.store).await.expect("the store reads");
        self.plugins.reconcile(unloadable).await.expect("the store reads");
    }

    async fn offer(&self, wasm: &[u8]) -> Offered {
        let wasm = Bytes::copy_from_slice(wasm);
        // Boxed, because several at once are more than the stack of a test's thread in a debug build.
        Box::pin(self.plugins.offer(self.tenant, PLUGIN, wasm))
            .await
            .expect("the store answers")
    }

    /// The version and generation that serve on this node, or why none does.
    fn serving(&self) -> Result<(ContentHash, u32), String> {
        match self.installed.get(self.tenant, PLUGIN) {
            None => Err("nothing is active".to_owned()),
            Some(Slot::Ready(active)) => Ok((active.module.hash(), active.generation)),
            Some(Slot::Unloadable { reason, .. }) => Err(reason.to_string()),
        }
    }

    async fn row(&self) -> hookyard::store::PluginRow {
        let row = self.store.plugin(self.tenant, PLUGIN).await.expect("the store reads");
        row.expect("the plugin is there")
    }
}

/// Writes other bytes in place of every module.
async fn overwrite_modules(database: &TestDatabase, bytes: &[u8]) {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let literal = match database.kind() {
        Kind::Sqlite => format!("X'{hex}'"),
        Kind::Postgres => format!("'\\x{hex}'::bytea"),
    };
    database.execute(&format!("UPDATE plugin_module SET wasm = {literal}")).await;
}

async fn the_same_bytes_offered_at_once_are_activated_once(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let node = Box::pin(Node::start(&database)).await;
    let other = Box::pin(Node::start(&database)).await;
    let wasm = version(1);
    let (first, second, third, elsewhere) = tokio::join!(node.offer(&wasm), node.offer(&wasm), node.offer(&wasm), other.offer(&wasm));
    let activated = |offered: &&Offered| matches!(offered, Offered::Activated { generation: 1, .. });
    assert_eq!([&first, &second, &third].into_iter().filter(activated).count(), 1);
    let unchanged = |offered: &&Offered| matches!(offered, Offered::Unchanged { generation: 1, .. });
    assert_eq!([&first, &second, &third].into_iter().filter(unchanged).count(), 2);
    assert!(activated(&&elsewhere) || unchanged(&&elsewhere), "{elsewhere:?}");
    assert_eq!(node.row().await.generation, 1, "also when two nodes take up the same file");
    assert_eq!(node.serving(), Ok((ContentHash::of(&wasm), 1)));
}

async fn a_broken_module_is_refused_and_the_former_version_serves_on(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let node = Box::pin(Node::start(&database)).await;
    let (good, mut broken) = (version(1), version(2));
    node.offer(&good).await;
    broken.truncate(broken.len() / 2);
    let Offered::Refused { version: refused, reason } = node.offer(&broken).await else {
        panic!("half a module is refused");
    };
    assert!(refused == ContentHash::of(&broken) && reason.contains("damaged"), "{reason}");
    assert_eq!(node.serving(), Ok((ContentHash::of(&good), 1)));
    let row = node.row().await;
    assert_eq!((row.active, row.generation), (Some(ContentHash::of(&good)), 1));
    assert_eq!(row.refused.map(|(hash, reason, _)| (hash, reason)), Some((refused, reason)));
    assert!(matches!(node.offer(&good).await, Offered::Unchanged { generation: 1, .. }));
}

async fn a_name_no_sender_could_use_is_refused(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let node = Box::pin(Node::start(&database)).await;
    let offered = node.plugins.offer(node.tenant, "Not A Name", version(1).into()).await;
    assert!(matches!(offered, Ok(Offered::Refused { .. })), "{offered:?}");
    assert!(node.store.plugins().await.expect("the store reads").is_empty());
}

async fn a_damaged_module_is_replaced_by_an_offer_of_the_same_version(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let wasm = version(1);
    Box::pin(Node::start(&database)).await.offer(&wasm).await;
    overwrite_modules(&database, b"spoilt").await;
    let node = Box::pin(Node::start(&database)).await;
    let reason = node.serving().expect_err("nothing can be loaded");
    assert!(reason.contains("damaged"), "{reason}");
    let marked = node.row().await;
    assert_eq!(
        marked.refused.map(|(hash, ..)| hash),
        marked.active,
        "people find the reason with the plugin"
    );
    assert!(matches!(node.offer(&wasm).await, Offered::Activated { generation: 1, .. }));
    assert_eq!(node.serving(), Ok((ContentHash::of(&wasm), 1)));
    let row = node.row().await;
    assert!(row.refused.is_none() && row.revision > marked.revision, "{row:?}");
    let restarted = Box::pin(Node::start(&database)).await;
    assert_eq!(restarted.serving(), Ok((ContentHash::of(&wasm), 1)));
}

async fn a_version_that_loads_again_is_tried_in_time_and_renewed(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let wasm = version(1);
    Box::pin(Node::start(&database)).await.offer(&wasm).await;
    overwrite_modules(&database, b"spoilt").await;
    let node = Box::pin(Node::start(&database)).await;
    assert!(node.serving().is_err());
    let marked = node.row().await;
    overwrite_modules(&database, &wasm).await;
    node.reconcile(Unloadable::LeaveAlone).await;
    assert!(node.serving().is_err(), "nothing about the plugin has changed");
    node.reconcile(Unloadable::TryAgain).await;
    assert_eq!(node.serving(), Ok((ContentHash::of(&wasm), 1)));
    // A newer revision is what releases the events that were held meanwhile.
    let row = node.row().await;
    assert!(row.refused.is_none() && row.revision > marked.revision, "{row:?}");
    node.reconcile(Unloadable::TryAgain).await;
    assert_eq!(node.row().await.revision, row.revision, "and it is raised once");
}

/// An active module that did not load used to leave its events postponed, second by second and for ever: nothing said why,
/// and nobody could find them.
async fn events_of_a_version_that_cannot_be_loaded_are_held_with_the_reason_until_it_can(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind)
        .setup(setup(&receiver, [sender_in("pass"), Sender::new("plain")]))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    host.stop().await;
    overwrite_modules(host.database(), b"spoilt").await;
    let file = host.database().folder().join("plugins").join(TENANT).join(format!("{PLUGIN}.wasm"));
    std::fs::remove_file(file).expect("the file can be removed");
    host.start().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(post(&host, "pass", "{}").await);
    }
    let plain = post(&host, "plain", "{}").await;
    for event in &held {
        let (state, explanation) = decided(&host, *event).await;
        assert_eq!(state, EventState::Held);
        let failure = explanation.detail.failure.expect("a held event says why");
        assert!(
            failure.message.contains(PLUGIN) && failure.message.contains("damaged"),
            "{}",
            failure.message
        );
    }
    assert_eq!(delivered(&host, plain).await.outcome, "pass", "another sender goes on");
    host.put_plugin(TENANT, PLUGIN, &version(1));
    for event in held {
        assert_eq!(ran(&delivered(&host, event).await), (hash(&version(1)), 1));
    }
    host.stop().await;
}

async fn a_question_about_a_configuration_never_fails_because_of_a_plugin(kind: Kind) {
    let database = TestDatabase::fresh(kind).await;
    let node = Box::pin(Node::start(&database)).await;
    node.offer(&version(1)).await;
    let slack = Bytes::from(guests::bytes("github-to-slack"));
    node.plugins.offer(node.tenant, "slack", slack).await.expect("the store answers");
    let question = |plugin: &str, config: &str| Question {
        tenant: Some(node.tenant),
        plugin: plugin.to_owned(),
        config: config.into(),
    };
    let questions = [
        question(PLUGIN, r#"{"mode":"pass"}"#),
        question("slack", r#"{"ignore_bots":false}"#),
        question(PLUGIN, r#"{"mode":"behave"}"#),
        question("missing", "{}"),
        Question {
            tenant: None,
            ..question(PLUGIN, "{}")
        },
    ];
    let ask = async || {
        check_configs(&node.store, &Settings::default(), &compiler(), &questions)
            .await
            .expect("nothing is wrong with the store")
    };
    let answers = ask().await;
    let loaded = node.plugins.check_configs(questions.to_vec()).await;
    assert_eq!(loaded.ok().as_ref(), Some(&answers), "a server's own modules answer alike");
    assert_eq!(&answers[..2], [Answer::Accepted, Answer::Accepted]);
    assert!(
        matches!(&answers[2], Answer::Refused(problem) if problem.starts_with("/mode: ")),
        "{answers:?}"
    );
    for answer in &answers[3..] {
        assert!(matches!(answer, Answer::NotAsked(NotAsked::NoActiveVersion { .. })), "{answer:?}");
    }
    overwrite_modules(&database, b"spoilt").await;
    let answers = ask().await;
    for answer in &answers[..3] {
        assert!(matches!(answer, Answer::NotAsked(NotAsked::Unloadable { .. })), "{answer:?}");
    }
}

/// `hookyard apply` used to end with an error, so a plugin that was broken kept its owner from any change at all.
async fn apply_goes_on_with_a_note_where_the_active_version_cannot_be_loaded(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind)
        .setup(setup(&receiver, [sender_in("pass")]))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await;
    host.stop().await;
    overwrite_modules(host.database(), b"spoilt").await;
    let revision = host.store().revision().await.expect("the store reads");
    let changed = setup(&receiver, [sender_in("pass").on_failure("dead-letter")]);
    let path = changed.write_into(&host.database().folder().join("changed"));
    let output = server::run(host.database(), &["apply", "--file", &path.to_string_lossy()]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for part in ["note", PLUGIN, "cannot be loaded", "damaged"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert!(host.store().revision().await.expect("the store reads") > revision);
}
