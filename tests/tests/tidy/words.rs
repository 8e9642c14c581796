//! Which words may be where: a dialect's in its own rooms alone, and no phrase anywhere that needs a second reading.

use std::path::Path;

use super::{every_text, flowing, read, shown, workspace};

const DIALECTS: [&str; 3] = ["hooksentry", "nahook", "nestarc"];

/// Where every dialect may be named: the lists that have one line for each, and what is written for people or tests.
const NAMES_ALL: [&str; 8] = [
    "docs/",
    "tests/",
    "examples/",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "host/ARCHITECTURE.md",
    // Mounts the dialects.
    "host/src/http/mod.rs",
];

/// The list of profiles.
const PROFILES: [&str; 2] = ["host/domain/src/profile.rs", "host/domain/src/profile/mod.rs"];

/// Whether a file may name a dialect.
fn may_name(path: &str, dialect: &str) -> bool {
    path.ends_with("/tests.rs")
        || NAMES_ALL.iter().any(|place| path.starts_with(place))
        || PROFILES.contains(&path)
        || path.starts_with(&format!("host/src/http/{dialect}/"))
        || path.starts_with(&format!("host/domain/src/profile/{dialect}"))
}

/// Whether a file names a dialect otherwise than by citing its contract: a constant says where it comes from, in whatever
/// room it is.
fn names(path: &Path, dialect: &str) -> bool {
    let text = read(path).to_lowercase();
    text.replace(&format!("docs/contracts/{dialect}.md"), "").contains(dialect)
}

#[test]
fn a_dialect_is_named_in_its_own_rooms_only() {
    let mut wrong = Vec::new();
    for path in every_text() {
        let place = shown(&path);
        for dialect in DIALECTS {
            if !may_name(&place, dialect) && names(&path, dialect) {
                wrong.push(format!("{place} names {dialect}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files with phrases that are still to be rewritten. A file without any leaves the list; none may be added.
const STILL_READ_TWICE: &[&str] = &["host/src/manage/setup/file.rs"];

/// Phrases that need a second reading, with the words around them. A negation belongs to the verb ("is not a URL"), and
/// a thing is somewhere or appears somewhere; only a symbol stands for something, and a clock may stand still.
fn second_readings(text: &str) -> Vec<String> {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || "(\"".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let plain = |at: Option<usize>| {
        at.and_then(|at| words.get(at))
            .map_or("", |word| word.trim_matches(|c: char| !c.is_alphanumeric()))
            .to_lowercase()
    };
    let mut found = Vec::new();
    for (at, _) in words.iter().enumerate() {
        let (word, next) = (plain(Some(at)), plain(Some(at + 1)));
        let negated = ["is", "are", "was", "were"].contains(&word.as_str())
            && next == "no"
            && !["there", "it"].contains(&plain(at.checked_sub(1)).as_str())
            && !["longer", "more"].contains(&plain(Some(at + 2)).as_str());
        let stands = ["stand", "stands", "stood"].contains(&word.as_str()) && !["for", "in", "still"].contains(&next.as_str());
        if negated || stands {
            found.push(words[at.saturating_sub(3)..(at + 4).min(words.len())].join(" "));
        }
    }
    found
}

#[test]
fn phrases_are_told_apart() {
    for bad in ["it stands twice", "that is no URL", "(is no text)", "what stood there"] {
        assert_eq!(second_readings(bad).len(), 1, "{bad}");
    }
    for good in [
        "there is no event",
        "it is no longer there",
        "`*` stands for all",
        "is not a URL",
        "a clock that stands still",
    ] {
        assert!(second_readings(good).is_empty(), "{good}");
    }
}

#[test]
fn what_people_read_is_understood_at_the_first_reading() {
    let mut wrong = Vec::new();
    let mut clean: Vec<&str> = STILL_READ_TWICE.to_vec();
    for path in every_text() {
        let place = shown(&path);
        // This file's own examples.
        if place == "tests/tests/tidy/words.rs" {
            continue;
        }
        let found = second_readings(&flowing(&path));
        match clean.iter().position(|known| *known == place) {
            Some(known) if !found.is_empty() => drop(clean.swap_remove(known)),
            _ => wrong.extend(found.into_iter().map(|phrase| format!("{place}: … {phrase} …"))),
        }
    }
    assert!(wrong.is_empty(), "say it plainly:\n{}", wrong.join("\n"));
    assert!(clean.is_empty(), "these read well now; take them off the list: {clean:#?}");
}

/// Keeps [`may_name`] honest about the places it is for.
#[test]
fn a_dialects_rooms_are_its_own() {
    assert!(may_name("host/src/http/nahook/ingest.rs", "nahook") && !may_name("host/src/http/nahook/ingest.rs", "nestarc"));
    assert!(may_name("host/domain/src/profile/nestarc.rs", "nestarc") && !may_name("host/domain/src/retry.rs", "nestarc"));
    assert!(workspace().join("docs/contracts").is_dir());
}
