//! What one file does to the server that looks at it: nothing (S2). Modules made to exhaust whoever parses or compiles them, and
//! things that are not modules, lie where plugins belong; each is refused with its reason, and everybody else goes on.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use hookyard::store::Store;
use hookyard_domain::Timestamp;
use hookyard_tests::{
    bombs,
    database::{Kind, TestDatabase},
    guests,
    receiver::Receiver,
    routing::{PLUGIN, TENANT, sender_in, setup, version},
    server::{self, Server},
    setup::{Sender, SetupFile, Tenant, sender_token},
    wait,
};
use serde_json::Value;

const HOSTILE: &str = "hostile";
/// When a bomb counts as not judged at all: above what a loaded machine needs for one.
const JUDGED_WITHIN: Duration = Duration::from_secs(30);
/// Memory of a process that compiles.
const CHILD_KIB_MAX: u64 = 512 << 10;
/// All bombs, one after the other, on a busy machine.
const TEST_MAX: Duration = Duration::from_secs(150);

mod sqlite {
    #[tokio::test(flavor = "multi_thread")]
    async fn no_file_costs_the_server_or_another_tenant_anything() {
        let test = Box::pin(super::no_file_costs_the_server_or_another_tenant_anything());
        super::wait::bounded_by(super::TEST_MAX, test).await;
    }
    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_server_died_with_is_quarantined_until_somebody_asks() {
        let test = Box::pin(super::what_a_server_died_with_is_quarantined_until_somebody_asks(
            super::Kind::Sqlite,
        ));
        super::wait::bounded_by(super::TEST_MAX, test).await;
    }
}

mod postgres {
    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_server_died_with_is_quarantined_until_somebody_asks() {
        let test = Box::pin(super::what_a_server_died_with_is_quarantined_until_somebody_asks(
            super::Kind::Postgres,
        ));
        super::wait::bounded_by(super::TEST_MAX, test).await;
    }
}

/// A database with a tenant that works and one that brings bombs, and the folder where plugins go.
struct Yard {
    database: TestDatabase,
    store: Store,
    receiver: Receiver,
    setup: SetupFile,
}

impl Yard {
    async fn prepare(kind: Kind) -> Self {
        guests::build("misbehaving");
        server::binary();
        let receiver = Receiver::start().await;
        let hostile = Tenant::named(HOSTILE).sender(Sender::new("own").plugin("bomb"));
        let database = TestDatabase::fresh(kind).await;
        Self {
            store: database.open(Timestamp::EPOCH).await,
            database,
            setup: setup(&receiver, [sender_in("pass")]).tenant(hostile),
            receiver,
        }
    }

    async fn serve(&self) -> Server {
        let tenants = server::apply(&self.database, &self.setup).await;
        Server::on(&self.database).tenants(&tenants).arg("--lease-s=2").start().await
    }

    fn path(&self, tenant: &str, name: &str) -> PathBuf {
        let folder = self.database.folder().join("data/plugins").join(tenant);
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder.join(format!("{name}.wasm"))
    }

    fn put(&self, tenant: &str, name: &str, wasm: &[u8]) {
        let path = self.path(tenant, name);
        let beside = path.with_extension("part");
        fs::write(&beside, wasm).expect("a file can be written");
        fs::rename(beside, path).expect("a file can be put in place");
    }

    /// Why a plugin's newest version was refused.
    async fn refused(&self, server: &Server, name: &str) -> Option<String> {
        let tenant = server.client().tenant(HOSTILE).expect("it was applied");
        let row = self.store.plugin(tenant, name).await.expect("the store reads")?;
        row.refused.map(|(_, reason, _)| reason)
    }

    async fn is_active(&self, server: &Server, name: &str) -> bool {
        let tenant = server.client().tenant(TENANT).expect("it was applied");
        let row = self.store.plugin(tenant, name).await.expect("the store reads");
        row.is_some_and(|row| row.active.is_some())
    }

    /// Events of the tenant that works are accepted, routed by its plugin and delivered.
    async fn an_event_arrives(&self, server: &Server) {
        let before = self.receiver.received().len();
        let answer = server.client().post(&sender_token(TENANT, "pass"), "{}").send().await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        self.receiver.wait_for(before + 1).await;
    }
}

async fn no_file_costs_the_server_or_another_tenant_anything() {
    let yard = Yard::prepare(Kind::Sqlite).await;
    yard.put(TENANT, PLUGIN, &version(1));
    let mut server = yard.serve().await;
    wait::until("the plugin is active", async || yard.is_active(&server, PLUGIN).await.then_some(())).await;
    yard.an_event_arrives(&server).await;

    let whole = guests::bytes("misbehaving");
    let noise: Vec<u8> = b"\0asm\x0d\0\x01\0"
        .iter()
        .copied()
        .chain((0..60_000_u32).map(|n| (n * n % 251) as u8))
        .collect();
    let bombs: [(&str, Vec<u8>, &str); 10] = [
        ("nested-types", bombs::nested_types(), "nest"),
        ("nested-instances", bombs::nested_instances(), "compil"),
        ("loops", bombs::loops_and_locals(), "compil"),
        ("large-function", bombs::function_of((1 << 20) + 1), "bytes in one function"),
        ("exports", bombs::exports(100_000), "exports"),
        ("truncated", whole[..whole.len() / 2].to_vec(), "damaged"),
        ("noise", noise, "damaged"),
        (
            "elf",
            fs::read("/proc/self/exe").expect("it reads")[..4_096].to_vec(),
            "machine code",
        ),
        ("empty", Vec::new(), "not WebAssembly"),
        ("core", b"\0asm\x01\0\0\0".to_vec(), "core module"),
    ];
    for (name, wasm, expected) in &bombs {
        let begun = Instant::now();
        yard.put(HOSTILE, name, wasm);
        let mut child_kib_peak = 0;
        let reason = loop {
            child_kib_peak = child_kib_peak.max(compilers(&server).into_iter().map(memory_kib).max().unwrap_or(0));
            if let Some(reason) = yard.refused(&server, name).await {
                break reason;
            }
            assert!(begun.elapsed() < JUDGED_WITHIN, "{name} is not judged");
            assert!(!server.has_ended(), "{name} ended the server");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        println!("{name}: {reason} (after {:.1?}, {} MiB)", begun.elapsed(), child_kib_peak >> 10);
        assert!(reason.contains(expected), "{name}: {reason}");
        assert!(child_kib_peak <= CHILD_KIB_MAX, "{name}: {child_kib_peak} KiB");
    }

    // While the slowest of them is looked at, others' plugins activate and events arrive.
    let mut again = bombs::loops_and_locals();
    again.extend(b"\0\x02\x01x");
    yard.put(HOSTILE, "loops-again", &again);
    wait::until("it is being looked at", async || (!compilers(&server).is_empty()).then_some(())).await;
    yard.put(TENANT, "another", &version(2));
    yard.an_event_arrives(&server).await;
    wait::until("another tenant's plugin is active", async || {
        yard.is_active(&server, "another").await.then_some(())
    })
    .await;

    // What is not a file is named in the log and never opened.
    std::os::unix::fs::symlink("/dev/zero", yard.path(HOSTILE, "link")).expect("a link can be made");
    fs::create_dir(yard.path(HOSTILE, "folder")).expect("a folder can be made");
    let made = std::process::Command::new("mkfifo").arg(yard.path(HOSTILE, "pipe")).status();
    assert!(made.expect("there is mkfifo").success());
    for why in ["a symbolic link", "a folder, not a file", "not a regular file"] {
        wait::until(why, async || server.log().contains(why).then_some(())).await;
    }
    yard.an_event_arrives(&server).await;

    // The same bytes under another name are refused without another look.
    yard.put(HOSTILE, "renamed", &bombs::nested_types());
    let reason = wait::until("the renamed bomb is refused", async || yard.refused(&server, "renamed").await).await;
    assert!(reason.contains("nest"), "{reason}");
    assert!(server.stop().await.success());
}

async fn what_a_server_died_with_is_quarantined_until_somebody_asks(kind: Kind) {
    let yard = Yard::prepare(kind).await;
    yard.put(TENANT, PLUGIN, &version(1));
    let mut server = yard.serve().await;
    wait::until("the plugin is active", async || yard.is_active(&server, PLUGIN).await.then_some(())).await;
    yard.put(HOSTILE, "bomb", &bombs::loops_and_locals());
    let child = wait::until("it is being compiled", async || compilers(&server).pop()).await;
    server.kill().await;
    wait::until("the child has died with its server", async || {
        (memory_kib(child) == 0).then_some(())
    })
    .await;

    let mut server = yard.serve().await;
    yard.an_event_arrives(&server).await;
    let reason = wait::until("it is refused", async || {
        let reason = yard.refused(&server, "bomb").await?;
        reason.contains("a server ended while it checked this module").then_some(reason)
    })
    .await;
    assert!(reason.contains("hookyard modules retry"), "{reason}");
    let listed = server::run(&yard.database, &["modules", "refused", "--format", "json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("it prints JSON");
    let hash = listed[0]["hash"].as_str().expect("it is listed").to_owned();
    assert_eq!(listed[0]["quarantined"], Value::Bool(true), "{listed}");
    assert_eq!(
        listed.as_array().map(Vec::len),
        Some(1),
        "what was compiled before is not: {listed}"
    );

    let retried = server::run(&yard.database, &["modules", "retry", &hash]).await;
    assert!(retried.status.success(), "{}", String::from_utf8_lossy(&retried.stderr));
    let reason = wait::until("it is judged", async || {
        yard.refused(&server, "bomb").await.filter(|reason| reason.contains("compil"))
    })
    .await;
    assert!(!reason.contains("a server ended"), "{reason}");
    let unknown = server::run(&yard.database, &["modules", "retry", &"0".repeat(64)]).await;
    assert_eq!(unknown.status.code(), Some(3), "{}", String::from_utf8_lossy(&unknown.stderr));
    assert!(server.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_ends_what_it_compiles_and_does_not_hold_it_against_the_module() {
    wait::bounded(async {
        let yard = Yard::prepare(Kind::Sqlite).await;
        let mut server = yard.serve().await;
        yard.put(HOSTILE, "bomb", &bombs::loops_and_locals());
        wait::until("it is being compiled", async || compilers(&server).pop()).await;
        assert!(server.stop().await.success());
        // A server that waits for the compilation would have found out why the module is refused.
        let reason = yard.refused(&server, "bomb").await.unwrap_or_default();
        assert!(!reason.contains("memory"), "{reason}");
        let mut server = yard.serve().await;
        let reason = wait::until("it is judged", async || {
            yard.refused(&server, "bomb").await.filter(|reason| reason.contains("memory"))
        });
        reason.await;
        assert!(server.stop().await.success());
    })
    .await;
}

/// A supervisor may leave a handle open in the server it starts, and the server in the children it starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_compiles_has_three_handles_and_cannot_get_more() {
    wait::bounded(async {
        let script = format!(
            "exec 7</etc/hostname; \"{}\" compile-plugin pool 1000000 $$; echo ended",
            server::binary().display()
        );
        let mut shell = tokio::process::Command::new("bash")
            .args(["-c", &script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("there is bash");
        let parent = shell.id().expect("it runs");
        let limits = wait::until("the child has bounded itself", async || {
            let child = compilers_of(parent).pop()?;
            let limits = fs::read_to_string(format!("/proc/{child}/limits")).ok()?;
            let handles = fs::read_dir(format!("/proc/{child}/fd")).ok()?.count();
            (limits.contains("Max open files            3 ") && handles == 3).then_some(limits)
        })
        .await;
        for limit in [
            "Max core file size        0 ",
            "Max file size             0 ",
            "Max cpu time              30 ",
        ] {
            assert!(limits.contains(limit), "{limits}");
        }
        drop(shell.stdin.take());
        let output = shell.wait_with_output().await.expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("not WebAssembly") && said.ends_with("ended\n"), "{said}");
    })
    .await;
}

/// The processes that compile for a server.
fn compilers(server: &Server) -> Vec<u32> {
    server.pid().map(compilers_of).unwrap_or_default()
}

fn compilers_of(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    let processes = fs::read_dir("/proc").expect("processes are listed").filter_map(Result::ok);
    processes
        .filter_map(|entry| entry.file_name().into_string().ok()?.parse().ok())
        .filter(|pid: &u32| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let arguments: Vec<_> = command.split(|byte| *byte == 0).collect();
            arguments.get(1) == Some(&&b"compile-plugin"[..]) && arguments.get(4) == Some(&parent.as_bytes())
        })
        .collect()
}

/// The most memory a process has had so far; 0: it is gone.
fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}
