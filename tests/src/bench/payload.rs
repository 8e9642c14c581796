//! What is posted: a GitHub push, small and exactly 1 KiB, or as GitHub really sends it; or a number and as much of
//! nothing as is asked for.

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

/// How a numbered payload begins; eight digits follow.
const NUMBERED: &[u8] = b"{\"number\":\"";
const NUMBER_DIGITS: usize = 8;

/// A JSON document of exactly `bytes` bytes that [`number_of`] knows again.
pub fn numbered(number: u32, bytes: usize) -> Bytes {
    let mut body = Vec::with_capacity(bytes);
    body.extend_from_slice(NUMBERED);
    body.extend_from_slice(format!("{number:0NUMBER_DIGITS$}\",\"note\":\"").as_bytes());
    let end = b"\"}";
    body.resize(bytes.saturating_sub(end.len()).max(body.len()), b'x');
    body.extend_from_slice(end);
    body.into()
}

/// The number of a [`numbered`] payload, from its beginning.
pub fn number_of(body: &[u8]) -> Option<u32> {
    let digits = body.strip_prefix(NUMBERED)?.get(..NUMBER_DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
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
    fn a_numbered_payload_has_its_size_is_json_and_is_known_again() {
        for bytes in [64, 1_024, 65_536] {
            let body = numbered(4_711, bytes);
            assert_eq!(body.len(), bytes);
            assert!(serde_json::from_slice::<Value>(&body).is_ok());
            assert_eq!(number_of(&body), Some(4_711));
        }
        assert_eq!(number_of(&small()), None);
    }

    #[test]
    fn the_real_push_is_several_times_larger() {
        assert!((5_000..9_000).contains(&real().len()), "{}", real().len());
    }
}
