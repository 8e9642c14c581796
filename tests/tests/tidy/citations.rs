//! Whatever a comment, a page or a help text names is there: documents, their sections, promises, suites and commands.
//!
//! The story: comments cited sections of pages that only their authors had, and the help of `cargo xtask postgres` named
//! a suite that did not exist. Nobody notices such a thing by reading.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{every_text, files, flowing, read, rust_files, shown, workspace};

/// Every page of the tree.
fn pages() -> Vec<PathBuf> {
    every_text()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// The page that `name` means in the file `from`: a path from the root or from the file's folder, or a page's bare name.
fn page(name: &str, from: &Path, pages: &[PathBuf]) -> Option<PathBuf> {
    let beside = from.parent().expect("a file is in a folder").join(name);
    [workspace().join(name), beside]
        .into_iter()
        .find(|path| path.is_file())
        .or_else(|| {
            let bare = !name.contains('/');
            pages.iter().find(|page| bare && page.ends_with(name)).cloned()
        })
}

/// The words of a text that end in `.md`, without what surrounds them.
fn page_names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c)))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.len() > ".md".len() && word.ends_with(".md"))
}

/// Paths of source files that a page names: what ends in `.rs` and says in which folder it is.
fn source_paths(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c)))
        .filter(|word| word.ends_with(".rs") && word.contains('/') && !word.starts_with('/'))
}

/// The numbers of a page's headings.
fn sections(page: &Path) -> BTreeSet<String> {
    read(page)
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.trim_start_matches('#').split_whitespace().next())
        .map(|number| number.trim_end_matches('.').to_owned())
        .collect()
}

/// What a text cites: each number after the word "section", and the word before it that should say of what.
fn cited_sections(text: &str) -> Vec<(String, String)> {
    const WORD: &str = "section ";
    let mut found = Vec::new();
    for (start, _) in text.match_indices(WORD) {
        let after = &text[start + WORD.len()..];
        let end = after.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(after.len());
        let number = after[..end].trim_end_matches('.');
        if number.is_empty() {
            continue;
        }
        let before = text[..start].trim_end().trim_end_matches([',', '(']).trim_end();
        let of = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        found.push((of.trim_matches(['(', '`', '"']).to_owned(), number.to_owned()));
    }
    found
}

#[test]
fn citations_are_read_across_the_ends_of_lines() {
    let text = "waits (docs/a.md, section 14.4). See RFC 9110, section 5.5: and section of it";
    let cited = cited_sections(text);
    let expected = [("docs/a.md", "14.4"), ("9110", "5.5")].map(|(of, number)| (of.to_owned(), number.to_owned()));
    assert_eq!(cited, expected);
    assert_eq!(page_names("see [x](docs/a.md), `B.md`.").collect::<Vec<_>>(), ["docs/a.md", "B.md"]);
}

#[test]
fn every_document_that_is_named_is_in_the_tree() {
    let pages = pages();
    let mut wrong = Vec::new();
    for path in every_text() {
        for name in page_names(&read(&path)) {
            // A fixture's text, and this suite's examples, are not citations.
            if page(name, &path, &pages).is_none() && !path.ends_with("tidy/citations.rs") {
                wrong.push(format!("{}: {name}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "no such document:\n{}", wrong.join("\n"));
}

/// A page that says where things are is worth nothing once they have moved.
#[test]
fn every_source_file_that_a_page_names_is_there() {
    let mut wrong = Vec::new();
    for path in pages() {
        let beside = path.parent().expect("a file is in a folder").to_owned();
        for named in source_paths(&read(&path)).map(str::to_owned) {
            if !workspace().join(&named).is_file() && !beside.join(&named).is_file() {
                wrong.push(format!("{}: {named}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "no such file:\n{}", wrong.join("\n"));
}

#[test]
fn every_section_that_is_named_is_in_its_document() {
    /// Standards that are cited by section and are not in the tree. An RFC is cited by its number.
    const STANDARDS: [&str; 2] = ["800-38D", "specification"];
    let pages = pages();
    let mut known: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in every_text().into_iter().filter(|path| !path.ends_with("tidy/citations.rs")) {
        let itself = path.extension().is_some_and(|extension| extension == "md");
        for (of, number) in cited_sections(&flowing(&path)) {
            if STANDARDS.contains(&of.as_str()) || of.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let document = if of.ends_with(".md") {
                page(&of, &path, &pages)
            } else {
                itself.then(|| path.clone())
            };
            let there = document.is_some_and(|document| {
                let sections = known.entry(document.clone()).or_insert_with(|| sections(&document));
                sections.contains(&number)
            });
            if !there {
                wrong.push(format!("{}: {of}, section {number}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "no such section:\n{}", wrong.join("\n"));
}

#[test]
fn every_promise_that_is_named_is_in_the_table() {
    let architecture = read(&workspace().join("host/ARCHITECTURE.md"));
    let promised: BTreeSet<&str> = architecture
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .map(|(id, _)| id)
        .filter(|id| is_promise(id))
        .collect();
    assert!(promised.contains("A1") && promised.contains("S1"), "{promised:?}");
    let mut wrong = Vec::new();
    for path in every_text() {
        let text = flowing(&path);
        let named = text
            .match_indices("promise ")
            .map(|(at, word)| &text[at + word.len()..])
            .filter_map(|after| after.get(..2));
        let listed = text.match_indices('(').filter_map(|(at, _)| text[at + 1..].split_once(')'));
        let listed = listed
            .map(|(list, _)| list)
            .filter(|list| list.len() < 20 && list.split(", ").all(is_promise))
            .flat_map(|list| list.split(", "));
        for id in named.filter(|id| is_promise(id)).chain(listed) {
            if !promised.contains(id) {
                wrong.push(format!("{}: {id}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "no such promise:\n{}", wrong.join("\n"));
}

fn is_promise(id: &str) -> bool {
    let mut characters = id.chars();
    characters.next().is_some_and(|c| "ARDEPSO".contains(c))
        && characters.next().is_some_and(|c| c.is_ascii_digit())
        && characters.next().is_none()
}

/// The names of an enum's variants, as the command line spells them.
fn variants(path: &str, name: &str) -> BTreeSet<String> {
    let text = read(&workspace().join(path));
    let (_, body) = text
        .split_once(&format!("enum {name} {{\n"))
        .unwrap_or_else(|| panic!("{path} has an enum {name}"));
    let body = body.split("\n}").next().unwrap_or_default();
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase())
        .collect()
}

#[test]
fn every_suite_package_and_command_that_is_named_exists() {
    let packages: BTreeSet<String> = files("", &["toml"])
        .iter()
        .filter(|path| path.ends_with("Cargo.toml"))
        .filter_map(|path| {
            let manifest: toml::Table = read(path).parse().expect("a manifest is TOML");
            Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
        })
        .collect();
    let suites: BTreeSet<String> = rust_files("tests/tests")
        .iter()
        .map(|path| {
            let path = path.strip_prefix(workspace().join("tests/tests")).expect("a file of the suites");
            let first = path.iter().next().expect("a path has a part").to_string_lossy();
            first.trim_end_matches(".rs").to_owned()
        })
        .collect();
    let commands = variants("xtask/src/main.rs", "Task");
    let steps = variants("xtask/src/steps.rs", "Step");
    let rules: [(&str, &BTreeSet<String>); 5] = [
        ("--test ", &suites),
        ("-p ", &packages),
        ("--package ", &packages),
        ("cargo xtask ", &commands),
        ("--only ", &steps),
    ];
    let mut wrong = Vec::new();
    for path in every_text().into_iter().filter(|path| !path.ends_with("tidy/citations.rs")) {
        let text = read(&path);
        for line in text.lines().filter(|line| line.contains("cargo ")) {
            for (flag, known) in rules {
                for (at, _) in line.match_indices(flag) {
                    let named = &line[at + flag.len()..];
                    let end = named
                        .find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
                        .unwrap_or(named.len());
                    let named = &named[..end];
                    let placeholder = named.starts_with("my-") || !named.starts_with(|c: char| c.is_ascii_lowercase());
                    if !placeholder && !known.contains(named) {
                        wrong.push(format!("{}: {flag}{named}", shown(&path)));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "there is no\n{}", wrong.join("\n"));
}
