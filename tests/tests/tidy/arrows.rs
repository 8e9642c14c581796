//! Who may know whom: the table of rings in host/ARCHITECTURE.md as a test.
//!
//! Adapters and the domain are crates, so cargo holds their arrows; here their manifests are read, since a member that is not
//! named cannot be used. The rooms inside the server's crate are held by their `use` lines.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{production_code, rust_files, shown, workspace};

/// How far out a module of the server is.
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
    ("documents", Ring::Between),
    ("explanation", Ring::Between),
    ("fanout", Ring::Between),
    ("installed", Ring::Between),
    ("mapping", Ring::Between),
    ("ruling", Ring::Between),
    ("run", Ring::Between),
    ("verification", Ring::Between),
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
fn modules_know_only_what_is_beneath_them() {
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
            // Other names of the crate's root are macros.
            if ring(to).is_some() && !may_know(from, to) {
                wrong.push(format!("{}: {from} must not know {}", shown(&path), named.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Folders of the HTTP edge that all dialects share.
const SHARED: [&str; 5] = ["intake", "openapi", "paging", "principal", "server"];

#[test]
fn one_dialect_knows_no_other() {
    let dialects: Vec<String> = fs::read_dir(workspace().join("host/src/http"))
        .expect("the HTTP edge can be listed")
        .map(|entry| entry.expect("the HTTP edge can be listed").path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().expect("a folder has a name").to_string_lossy().into_owned())
        .filter(|name| !SHARED.contains(&name.as_str()))
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

/// The server's files below these rooms.
fn rooms(names: &[&str]) -> Vec<PathBuf> {
    let mut found = rust_files("host/src");
    found.retain(|path| module_of(path).first().is_some_and(|room| names.contains(&room.as_str())));
    found
}

/// A stage says by an enum what it refused. Which status and body that is, each dialect says: three APIs answer the same
/// refusal in three ways.
#[test]
fn no_stage_answers_a_request() {
    for path in rooms(&["accept", "deliver", "manage", "plugins", "route", "ruling"]) {
        let code = production_code(&path);
        for word in ["axum", "StatusCode", "IntoResponse"] {
            assert!(!code.contains(word), "{} names {word}", shown(&path));
        }
    }
}

#[test]
fn a_dialect_names_its_statuses_in_one_file() {
    for path in rooms(&["http"]) {
        let module = module_of(&path);
        let dialect = module.len() > 2 && !SHARED.contains(&module[1].as_str());
        if dialect && module[2] != "answers" {
            assert!(!production_code(&path).contains("StatusCode"), "{} names a status", shown(&path));
        }
    }
}

/// A dialect that has a document registers each route together with its description, so that none can be served without.
#[test]
fn no_described_dialect_has_a_route_without_a_description() {
    let described: Vec<Vec<String>> = rooms(&["http"]).iter().map(|path| module_of(path)).collect();
    let described = described
        .iter()
        .filter(|module| module.len() > 2 && module[2] == "openapi" && !SHARED.contains(&module[1].as_str()));
    let dialects: BTreeSet<&str> = described.map(|module| module[1].as_str()).collect();
    assert!(dialects.contains("hooksentry"), "{dialects:?}");
    for path in rooms(&["http"]) {
        let module = module_of(&path);
        if module.get(1).is_some_and(|dialect| dialects.contains(dialect.as_str())) {
            assert!(
                !production_code(&path).contains(".route("),
                "{} registers a route by itself",
                shown(&path)
            );
        }
    }
}

/// What a plugin's configuration must be is asked of `plugins` or `manage`, which have the engine.
#[test]
fn no_edge_runs_a_plugin() {
    for path in rooms(&["http", "cli"]) {
        assert!(
            !production_code(&path).contains("Engine"),
            "{} has an engine of its own",
            shown(&path)
        );
    }
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
