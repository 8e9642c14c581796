//! What is posted: a GitHub push, small and exactly 1 KiB, or as GitHub really sends it.

use bytes::Bytes;
use serde_json::{Value, json};

/// Size of the payload that the bars speak of.
pub const SMALL_BYTES: usize = 1_024;

/// A push event of exactly [`SMALL_BYTES`], with everything a plugin reads of one.
pub fn small() -> Bytes {
    let mut push = json!({
        "ref": "refs/heads/main",
        "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "after": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
        "created": false,
        "deleted": false,
        "forced": false,
        "compare": "https://github.example/acme/site/compare/6113728f27ae...0d1a26e67d8f",
        "commits": [{
            "id": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
            "message": "Keep the lights on\n\nThe lamp in the hall was out.",
            "url": "https://github.example/acme/site/commit/0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
            "added": [], "removed": [], "modified": ["README.md"]
        }],
        "repository": { "id": 186_853_002, "full_name": "acme/site", "html_url": "https://github.example/acme/site", "private": false },
        "sender": { "login": "ada", "id": 21_031_067, "type": "User" },
        "note": ""
    });
    let bare = text(&push).len();
    assert!(bare <= SMALL_BYTES, "the push fits its size");
    push["note"] = Value::String("x".repeat(SMALL_BYTES - bare));
    text(&push)
}

/// A real push event as GitHub sends it, without the blanks it is kept with: about 7 KB.
pub fn real() -> Bytes {
    let kept: Value = serde_json::from_str(include_str!("../../fixtures/github/push.branch.json")).expect("the fixture is JSON");
    text(&kept)
}

fn text(value: &Value) -> Bytes {
    serde_json::to_vec(value).expect("a JSON value can be written").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_push_has_exactly_its_size_and_is_json() {
        assert_eq!(small().len(), SMALL_BYTES);
        assert!(serde_json::from_slice::<Value>(&small()).is_ok());
    }

    #[test]
    fn the_real_push_is_several_times_larger() {
        assert!((5_000..9_000).contains(&real().len()), "{}", real().len());
    }
}
