//! What the tree promises about itself, read from its own files: who may know whom, where SQL stands, how files begin.
//!
//! These are the architecture's arrows (host/ARCHITECTURE.md, the map) as a test. When one fails, the code is to change, or the page
//! and this table together.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use hookyard::store::statements::{On, all};
use hookyard_tests::database::{Kind, TestDatabase};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

/// A file of the server longer than this holds a second idea.
const HOST_LINES_MAX: usize = 600;

/// Where a module of the server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ring {
    /// Known to everybody and knowing nobody.
    Ground,
    /// One technology each.
    Adapter,
    /// What several stages speak of among each other, and what they are started with.
    Between,
    Stage,
    Edge,
    App,
}

const RINGS: &[(&str, Ring)] = &[
    ("clock", Ring::Ground),
    ("telemetry", Ring::Ground),
    ("store", Ring::Adapter),
    ("wasm", Ring::Adapter),
    ("egress", Ring::Adapter),
    ("config", Ring::Between),
    ("configuration", Ring::Between),
    ("explanation", Ring::Between),
    ("fanout", Ring::Between),
    ("installed", Ring::Between),
    ("run", Ring::Between),
    ("accept", Ring::Stage),
    ("route", Ring::Stage),
    ("deliver", Ring::Stage),
    ("plugins", Ring::Stage),
    ("manage", Ring::Stage),
    ("http", Ring::Edge),
    ("cli", Ring::Edge),
    ("app", Ring::App),
];

fn ring(module: &str) -> Option<Ring> {
    RINGS.iter().find(|(name, _)| *name == module).map(|(_, ring)| *ring)
}

/// Whether a module may name another.
fn may_know(from: &str, to: &str) -> bool {
    let (Some(inner), Some(outer)) = (ring(to), ring(from)) else {
        return false;
    };
    match outer {
        _ if from == to => true,
        Ring::Ground => false,
        Ring::Adapter => inner == Ring::Ground,
        Ring::Between => matches!(inner, Ring::Ground | Ring::Adapter | Ring::Between),
        Ring::Stage => matches!(inner, Ring::Ground | Ring::Adapter | Ring::Between),
        Ring::Edge => inner != Ring::Edge && (inner != Ring::App || from == "cli"),
        Ring::App => to != "cli",
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is a folder of the workspace")
}

/// The Rust files below a folder of the workspace, without what is built.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace can be listed") {
            let path = entry.expect("a folder of the workspace can be listed").path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with("node_modules") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found
}

fn every_rust_file() -> Vec<PathBuf> {
    ["host", "sdk-guest", "plugins", "tests", "xtask"]
        .iter()
        .flat_map(|folder| rust_files(folder))
        .collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}

/// What runs in production: without comments and without the file's own tests at its end.
fn production_code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file can be read");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The path of a file's module in the server's crate: `store/mod.rs` is `[store]`.
fn module_of(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(workspace().join("host/src")).expect("a file of the server");
    let mut names: Vec<String> = inside
        .with_extension("")
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if names.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

/// Every module path the code names by `crate::…` or `super::…`, from the crate's root.
fn named_paths(module: &[String], code: &str) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..start].chars().next_back();
        // Part of a longer word or path: what begins it was or will be met by itself.
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let mut from = module.to_vec();
        let mut rest = &code[start..];
        if let Some(after) = rest.strip_prefix("crate::") {
            from.clear();
            rest = after;
        }
        while let Some(after) = rest.strip_prefix("super::") {
            from.pop();
            rest = after;
        }
        tree(&from, &mut rest, &mut found);
    }
    found
}

/// Reads one use tree (`a::{b, c::d}`) and collects the paths it stands for.
fn tree(prefix: &[String], rest: &mut &str, found: &mut BTreeSet<Vec<String>>) {
    *rest = rest.trim_start();
    if let Some(after) = rest.strip_prefix('{') {
        *rest = after;
        while !rest.is_empty() {
            tree(prefix, rest, found);
            *rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix(',') {
                *rest = after.trim_start();
            }
            if let Some(after) = rest.strip_prefix('}') {
                *rest = after;
                return;
            }
        }
        return;
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let mut path = prefix.to_vec();
    path.push(rest[..end].to_owned());
    // A glob or an alias: step over it, so that a list goes on behind.
    *rest = rest[end..].trim_start_matches('*');
    if let Some(after) = rest.strip_prefix("::") {
        *rest = after;
        tree(&path, rest, found);
    } else {
        if let Some(after) = rest.strip_prefix(" as ") {
            *rest = after.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        }
        found.insert(path);
    }
}

#[test]
fn named_paths_are_read_from_use_trees_and_from_code() {
    let code = "use crate::{a::{self, B as C}, b::*, clock::Clock};\nfn f(x: super::D) { crate::e::g(); mycrate::h(); }";
    let module = ["m".to_owned(), "n".to_owned()];
    let found: Vec<String> = named_paths(&module, code).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a::B", "a::self", "b::", "clock::Clock", "e::g", "m::D"]);
}

#[test]
fn modules_know_only_what_stands_beneath_them() {
    let mut wrong = Vec::new();
    for path in rust_files("host/src") {
        let module = module_of(&path);
        // The crate's root names every module; the command is one call.
        let Some(from) = module.first() else { continue };
        assert!(
            ring(from).is_some(),
            "{}: give the module {from} a ring in this test's table",
            shown(&path)
        );
        for named in named_paths(&module, &production_code(&path)) {
            let to = &named[0];
            // Names of the crate's root that are no modules are macros.
            if ring(to).is_some() && !may_know(from, to) {
                wrong.push(format!("{}: {from} must not know {}", shown(&path), named.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_dialect_knows_no_other() {
    let dialects: Vec<String> = fs::read_dir(workspace().join("host/src/http"))
        .expect("the HTTP edge can be listed")
        .map(|entry| entry.expect("the HTTP edge can be listed").path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("a folder has a name").to_string_lossy().into_owned())
        .collect();
    assert!(dialects.contains(&"hooksentry".to_owned()), "{dialects:?}");
    let mut wrong = Vec::new();
    for path in rust_files("host/src/http") {
        let module = module_of(&path);
        let Some(ours) = module.get(1).filter(|name| dialects.contains(name)) else {
            continue;
        };
        for named in named_paths(&module, &production_code(&path)) {
            if named[0] == "http" && named.get(1).is_some_and(|name| dialects.contains(name) && name != ours) {
                wrong.push(format!("{}: {ours} must not know {}", shown(&path), named.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_domain_depends_on_nothing_that_waits_or_is_ours() {
    const FORBIDDEN: &[&str] = &[
        "async", "axum", "futures", "hookyard", "hyper", "rand", "reqwest", "rusqlite", "serde", "sqlx", "tokio", "tracing", "wasm",
    ];
    let text = fs::read_to_string(workspace().join("host/domain/Cargo.toml")).expect("the domain has a manifest");
    let manifest: toml::Table = text.parse().expect("a manifest is TOML");
    let dependencies = manifest["dependencies"].as_table().expect("the domain has dependencies");
    for name in dependencies.keys() {
        assert!(!FORBIDDEN.iter().any(|word| name.starts_with(word)), "the domain depends on {name}");
    }
}

/// Cargo refuses circles, and a member that is not named cannot be used: an adapter's manifest is its arrow.
#[test]
fn no_adapter_depends_on_another_or_on_the_server() {
    for adapter in ["egress", "store", "wasm"] {
        let text = fs::read_to_string(workspace().join(format!("host/{adapter}/Cargo.toml"))).expect("an adapter has a manifest");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let ours = manifest
                .get(table)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flat_map(toml::Table::keys);
            for name in ours.filter(|name| name.starts_with("hookyard")) {
                assert_eq!(name, "hookyard-domain", "{adapter} depends on {name}");
            }
        }
    }
}

#[test]
fn only_the_clock_asks_for_the_time() {
    for path in rust_files("host") {
        let asks = production_code(&path).contains("SystemTime::now");
        assert_eq!(asks, path.ends_with("host/src/clock.rs"), "{}", shown(&path));
    }
}

#[test]
fn sql_stands_in_the_list_of_statements_and_nowhere_else() {
    for path in rust_files("host") {
        if path.to_string_lossy().contains("store/src/statements/") || path.ends_with("store/src/migrate.rs") {
            continue;
        }
        let code = production_code(&path);
        for verb in ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE"] {
            assert!(!code.contains(&format!("\"{verb} ")), "{} holds a statement: {verb}", shown(&path));
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = every_rust_file()
        .iter()
        .filter(|path| !fs::read_to_string(path).expect("a source file can be read").starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    assert!(silent.is_empty(), "no header in {silent:#?}");
}

#[test]
fn no_file_of_the_server_holds_two_ideas() {
    for path in rust_files("host") {
        let lines = fs::read_to_string(&path).expect("a source file can be read").lines().count();
        assert!(lines <= HOST_LINES_MAX, "{} has {lines} lines", shown(&path));
    }
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let marks = ["TODO", "FIXME", "XXX"].map(|mark| format!("// {mark}"));
    let ignored = [format!("#[{}", "ignore")];
    for path in every_rust_file() {
        let text = fs::read_to_string(&path).expect("a source file can be read");
        for word in macros.iter().chain(&marks).chain(&ignored) {
            assert!(!text.contains(word), "{} holds {word}", shown(&path));
        }
    }
}

#[test]
fn every_statement_prepares_on_sqlite() {
    let connection = rusqlite::Connection::open_in_memory().expect("a database in memory opens");
    let mut migrations: Vec<PathBuf> = fs::read_dir(workspace().join("migrations"))
        .expect("the migrations can be listed")
        .map(|entry| entry.expect("the migrations can be listed").path())
        .filter(|path| !path.to_string_lossy().ends_with(".postgres.sql"))
        .collect();
    migrations.sort();
    for path in migrations {
        let schema = fs::read_to_string(path).expect("a migration can be read");
        connection
            .execute_batch(&hookyard::store::migrate::for_sqlite(&schema))
            .expect("the schema is written");
    }
    for (name, on, statement) in all() {
        if on != On::Postgres {
            let prepared = connection.prepare(statement);
            assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        }
    }
}

#[tokio::test]
async fn every_statement_prepares_on_postgres() {
    let database = TestDatabase::fresh(Kind::Postgres).await;
    drop(database.open(hookyard_domain::Timestamp::EPOCH).await);
    let mut connection = PgConnection::connect(database.url()).await.expect("it opens");
    for (name, on, statement) in all() {
        if on != On::Sqlite {
            let prepared = sqlx::raw_sql(AssertSqlSafe(format!("PREPARE {name} AS {statement}")))
                .execute(&mut connection)
                .await;
            assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        }
    }
}

/// A batch looks its own rows up in a hash table. As a join it compared each delivery with each event of the batch: 36 ms
/// of 512 of them.
#[tokio::test]
async fn no_batch_on_postgres_is_joined_with_itself() {
    let database = TestDatabase::fresh(Kind::Postgres).await;
    drop(database.open(hookyard_domain::Timestamp::EPOCH).await);
    let mut connection = PgConnection::connect(database.url()).await.expect("it opens");
    let text = |name| {
        let (.., text) = all().find(|(of, ..)| *of == name).expect("there is such a statement");
        text
    };
    sqlx::raw_sql(text("PLAN_BY_KEY"))
        .execute(&mut connection)
        .await
        .expect("it is set");
    for (name, parameters, lookups) in [("INSERT_EVENTS", 22, 1), ("DECIDE_EVENTS", 18, 2), ("SETTLE_DELIVERIES", 12, 1)] {
        let nulls = vec!["NULL"; parameters].join(", ");
        let explain = format!("PREPARE {name} AS {}; EXPLAIN EXECUTE {name} ({nulls})", text(name));
        let plan: Vec<String> = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_all(&mut connection)
            .await
            .expect("it is planned")
            .iter()
            .map(|row| row.get(0))
            .collect();
        let plan = plan.join("\n");
        assert_eq!(plan.matches("hashed SubPlan").count(), lookups, "{name}:\n{plan}");
    }
}
