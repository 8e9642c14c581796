//! The watched folder: every way a file changes, and which version serves afterwards.

use std::{fs, io::Write as _, path::PathBuf, time::Duration};

use hookyard_domain::EventState;
use hookyard_tests::{database::Kind, host::TestHost, on_both_databases, receiver::Receiver, routing::*, server};

on_both_databases!(
    a_version_renamed_into_place_decides_the_next_event,
    a_version_written_slowly_in_place_serves_once_it_is_whole,
    dotfiles_are_left_alone_and_a_deleted_file_deactivates_nothing,
    a_refused_version_says_why_and_the_former_serves_on,
    a_version_that_fails_on_the_senders_configuration_is_refused,
    a_restart_with_a_broken_file_serves_the_last_good_version,
    events_under_way_end_on_the_version_they_began_with,
    events_held_for_want_of_a_version_are_routed_once_one_works,
    apply_refuses_a_configuration_the_plugin_refuses_and_says_where
);

/// Pause of a slow writer between two pieces, below what the server takes for the end of the writing.
const WRITER_PAUSE: Duration = Duration::from_millis(40);
const PIECES: usize = 6;

fn file(host: &TestHost, name: &str) -> PathBuf {
    host.database().folder().join("plugins").join(TENANT).join(name)
}

async fn host_with_first_version(kind: Kind, receiver: &Receiver) -> TestHost {
    TestHost::builder(kind)
        .setup(setup(receiver, [sender_in("pass")]))
        .plugin(TENANT, PLUGIN, version(1))
        .start()
        .await
}

async fn a_version_renamed_into_place_decides_the_next_event(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host_with_first_version(kind, &receiver).await;
    let event = post(&host, "pass", "{}").await;
    assert_eq!(ran(&delivered(&host, event).await), (hash(&version(1)), 1));
    host.put_plugin(TENANT, PLUGIN, &version(2));
    active(&host, PLUGIN, &version(2)).await;
    // The row is written first, and the pointer swapped right behind it.
    hookyard_tests::wait::until("the new version decides", async || {
        let event = post(&host, "pass", "{}").await;
        (ran(&delivered(&host, event).await) == (hash(&version(2)), 2)).then_some(())
    })
    .await;
    // Back to the former file is another generation of the former version.
    host.put_plugin(TENANT, PLUGIN, &version(1));
    assert_eq!(active(&host, PLUGIN, &version(1)).await.generation, 3);
    host.stop().await;
}

async fn a_version_written_slowly_in_place_serves_once_it_is_whole(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host_with_first_version(kind, &receiver).await;
    let whole = version(2);
    let mut out = fs::File::create(file(&host, "guest.wasm")).expect("the file can be written over");
    for piece in whole.chunks(whole.len().div_ceil(PIECES)) {
        out.write_all(piece).expect("a piece can be written");
        let event = post(&host, "pass", "{}").await;
        assert_eq!(
            ran(&delivered(&host, event).await),
            (hash(&version(1)), 1),
            "half a file decides nothing"
        );
        tokio::time::sleep(WRITER_PAUSE).await;
    }
    drop(out);
    let row = active(&host, PLUGIN, &whole).await;
    assert_eq!((row.generation, row.refused), (2, None));
    host.stop().await;
}

async fn dotfiles_are_left_alone_and_a_deleted_file_deactivates_nothing(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host_with_first_version(kind, &receiver).await;
    fs::write(file(&host, ".hidden.wasm"), version(2)).expect("a file can be written");
    fs::write(file(&host, ".guest.wasm.swp"), version(3)).expect("a file can be written");
    fs::write(file(&host, "notes.txt"), "not a plugin").expect("a file can be written");
    fs::remove_file(file(&host, "guest.wasm")).expect("the file can be deleted");
    // When this one is active, the folder has been looked at with all of the above in it.
    host.put_plugin(TENANT, "other", &version(4));
    active(&host, "other", &version(4)).await;
    let rows = host.store().plugins().await.expect("the store reads");
    let mut names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [PLUGIN, "other"]);
    let event = post(&host, "pass", "{}").await;
    assert_eq!(ran(&delivered(&host, event).await), (hash(&version(1)), 1));
    host.stop().await;
}

async fn a_refused_version_says_why_and_the_former_serves_on(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host_with_first_version(kind, &receiver).await;
    let whole = version(2);
    let broken: [(&[u8], &str); 4] = [
        (&whole[..whole.len() / 2], "damaged"),
        (b"\0asm\x01\0\0\0", ""),
        (b"not WebAssembly at all", ""),
        (b"", ""),
    ];
    for (wasm, words) in broken {
        host.put_plugin(TENANT, PLUGIN, wasm);
        let reason = refused(&host, PLUGIN, wasm).await;
        assert!(reason.contains(words) && reason.len() > 20, "{reason}");
        let row = plugin_row(&host, PLUGIN).await.expect("the plugin is there");
        assert_eq!(
            (row.active.map(|active| active.to_string()), row.generation),
            (Some(hash(&version(1))), 1)
        );
        let event = post(&host, "pass", "{}").await;
        assert_eq!(ran(&delivered(&host, event).await), (hash(&version(1)), 1));
    }
    // A version that works clears the refusal.
    host.put_plugin(TENANT, PLUGIN, &whole);
    assert_eq!(active(&host, PLUGIN, &whole).await.refused, None);
    host.stop().await;
}

async fn a_version_that_fails_on_the_senders_configuration_is_refused(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host_with_first_version(kind, &receiver).await;
    restart_with(&mut host, &setup(&receiver, [sender_in("pass"), sender_in("trap")])).await;
    host.put_plugin(TENANT, PLUGIN, &version(2));
    let reason = refused(&host, PLUGIN, &version(2)).await;
    assert!(reason.contains("trial") && reason.contains("trap"), "{reason}");
    let event = post(&host, "pass", "{}").await;
    assert_eq!(ran(&delivered(&host, event).await), (hash(&version(1)), 1));
    host.stop().await;
}

async fn a_restart_with_a_broken_file_serves_the_last_good_version(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host_with_first_version(kind, &receiver).await;
    host.stop().await;
    fs::write(file(&host, "guest.wasm"), b"broken while the server was down").expect("the file can be written over");
    host.start().await;
    let event = post(&host, "pass", "{}").await;
    assert_eq!(ran(&delivered(&host, event).await), (hash(&version(1)), 1));
    refused(&host, PLUGIN, b"broken while the server was down").await;
    host.stop().await;
}

async fn events_under_way_end_on_the_version_they_began_with(kind: Kind) {
    const EVENTS: usize = 12;
    let receiver = Receiver::start().await;
    let mut busy = mode("burn-cpu-ms");
    busy.insert("ms".to_owned(), 150.into());
    let mut host = TestHost::builder(kind)
        .setup(setup(
            &receiver,
            [hookyard_tests::setup::Sender::new("busy").plugin(PLUGIN).config(busy)],
        ))
        .plugin(TENANT, PLUGIN, version(1))
        .config(|config| {
            config.wasm.cpu_budget = Duration::from_secs(1);
            config.wasm.wall_cap = Duration::from_secs(20);
        })
        .start()
        .await;
    let mut events = Vec::new();
    for _ in 0..EVENTS {
        events.push(post(&host, "busy", "{}").await);
    }
    // The trial of the second version takes longer than an event and shorter than all of them: the swap finds one
    // under way.
    host.put_plugin(TENANT, PLUGIN, &version(2));
    active(&host, PLUGIN, &version(2)).await;
    let mut generations = Vec::new();
    for event in events {
        let explanation = delivered(&host, event).await;
        assert_eq!(explanation.outcome, "pass");
        let (version_ran, generation) = ran(&explanation);
        assert_eq!(version_ran, hash(&version(u8::try_from(generation).expect("one or two"))));
        generations.push(generation);
    }
    assert_eq!(generations[0], 1, "the first began before there was another");
    assert_eq!(receiver.received().len(), EVENTS, "each was delivered once");
    let event = post(&host, "busy", "{}").await;
    assert_eq!(ran(&delivered(&host, event).await).1, 2);
    host.stop().await;
}

async fn events_held_for_want_of_a_version_are_routed_once_one_works(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = TestHost::builder(kind).setup(setup(&receiver, [sender_in("pass")])).start().await;
    let mut events = Vec::new();
    for _ in 0..3 {
        let event = post(&host, "pass", r#"{"kept":true}"#).await;
        let (state, explanation) = decided(&host, event).await;
        assert_eq!(state, EventState::Held);
        let failure = explanation.detail.failure.expect("a held event says why");
        assert_eq!((failure.code.as_str(), failure.policy.as_str()), ("no-active-version", "hold"));
        assert!(failure.message.contains(PLUGIN), "{}", failure.message);
        events.push(event);
    }
    // One that is refused releases nothing.
    host.put_plugin(TENANT, PLUGIN, b"no module");
    refused(&host, PLUGIN, b"no module").await;
    assert_eq!(state(&host, events[0]).await, EventState::Held);
    host.put_plugin(TENANT, PLUGIN, &version(1));
    for event in events {
        assert_eq!(ran(&delivered(&host, event).await), (hash(&version(1)), 1));
    }
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|one| one.body == r#"{"kept":true}"#));
    host.stop().await;
}

async fn apply_refuses_a_configuration_the_plugin_refuses_and_says_where(kind: Kind) {
    let receiver = Receiver::start().await;
    let mut host = host_with_first_version(kind, &receiver).await;
    let revision = host.store().revision().await.expect("the store reads");
    let mistake = setup(
        &receiver,
        [hookyard_tests::setup::Sender::new("pass").plugin(PLUGIN).config(mode("behave"))],
    );
    let path = mistake.write_into(&host.database().folder().join("mistake"));
    let output = server::run(host.database(), &["apply", "--file", &path.to_string_lossy()]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["is not applied", "sender \"pass\"", "/mode: ", "`behave`"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    assert_eq!(host.store().revision().await.expect("the store reads"), revision);
    let event = post(&host, "pass", "{}").await;
    assert_eq!(delivered(&host, event).await.outcome, "pass");
    host.stop().await;
}
