//! Published vectors, then the reference library as an oracle, then what must not verify.

use super::*;
use proptest::prelude::*;

/// `docs/contracts/nahook.md`, section 7.
const VECTOR_SECRET: &str = "whsec_dGVzdF93ZWJob29rX3NpZ25pbmdfa2V5XzMyYnl0ZXMh";

fn secret_of(bytes: Vec<u8>) -> StandardSecret {
    StandardSecret::from_bytes(bytes).unwrap()
}

#[test]
fn bodies_are_signed_as_rfc_4231_says() {
    // Test case 2.
    assert_eq!(
        body_signature("Jefe", b"what do ya want for nothing?"),
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn a_body_secret_of_hex_digits_is_not_decoded() {
    assert_ne!(body_signature("00ff", b"{}"), body_signature("00FF", b"{}"));
}

#[test]
fn the_published_standard_vectors_are_reproduced() {
    let secret = StandardSecret::parse(VECTOR_SECRET).unwrap();
    for (body, signature) in [
        (
            r#"{"order_id":"ord_123","amount":49.99}"#,
            "v1,VF1JBS4kdSwmE64FeeiWTgszlPCfaop53x8bwzvHizw=",
        ),
        ("", "v1,yNFeVvBSs4aZ/sVHHw1MaUWnN1IGK/Ul/16T8aptSJo="),
        (
            r#"{"name":"café","price":"€9.99"}"#,
            "v1,GcuGAMV9tELnF2rjay6sA8uo5PDPPlhaFi6gKUg06wQ=",
        ),
    ] {
        assert_eq!(standard(&secret, "msg_test_sig_001", 1_712_345_678, body.as_bytes()), signature);
    }
}

#[test]
fn a_secret_is_whsec_and_base64_of_24_to_64_bytes() {
    let text_of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
    for (text, error) in [
        (text_of(23), SecretError::Length { bytes: 23 }),
        (text_of(65), SecretError::Length { bytes: 65 }),
        ("whsec_".into(), SecretError::Length { bytes: 0 }),
        ("whsec_not base64!".into(), SecretError::Base64),
        (STANDARD.encode([7; 24]), SecretError::Prefix),
        (text_of(24).to_uppercase(), SecretError::Prefix),
    ] {
        assert_eq!(StandardSecret::parse(&text).unwrap_err(), error, "{text}");
    }
    for bytes in [24, 25, 64] {
        let padded = text_of(bytes);
        assert_eq!(*StandardSecret::parse(&padded).unwrap().to_text(), padded);
        assert_eq!(*StandardSecret::parse(padded.trim_end_matches('=')).unwrap().to_text(), padded);
    }
}

#[test]
fn what_holds_a_secret_is_wiped_when_dropped() {
    const fn assert_wiped<T: ZeroizeOnDrop>() {}
    assert_wiped::<StandardSecret>();
    // HMAC's state is two states of its hash and a buffer, and says nothing of its own about wiping.
    assert_wiped::<Sha256>();
}

#[test]
fn debug_shows_no_secret() {
    let secret = secret_of(b"abcdefghijklmnopqrstuvwx".to_vec());
    let shown = format!("{secret:?} {:?} {:?}", StandardKey::new(&secret), BodySignatureKey::new("s3cret"));
    assert_eq!(shown, "StandardSecret(redacted) StandardKey(redacted) BodySignatureKey(redacted)");
}

#[test]
fn during_a_rotation_either_signature_is_enough() {
    let (old, new) = (secret_of(vec![1; 32]), secret_of(vec![2; 32]));
    let header = format!(
        "v1a,c2lnbmF0dXJl {} {}",
        standard(&new, "m", 7, b"{}"),
        standard(&old, "m", 7, b"{}")
    );
    assert!(verify_standard(&old, "m", 7, b"{}", &header));
    assert!(verify_standard(&new, "m", 7, b"{}", &header));
    assert!(!verify_standard(&secret_of(vec![3; 32]), "m", 7, b"{}", &header));
}

#[test]
fn signatures_past_the_sixteenth_are_not_read() {
    let secret = secret_of(vec![1; 32]);
    let signature = standard(&secret, "m", 7, b"{}");
    assert!(verify_standard(
        &secret,
        "m",
        7,
        b"{}",
        &format!("{}{signature}", "v1,x ".repeat(15))
    ));
    assert!(!verify_standard(
        &secret,
        "m",
        7,
        b"{}",
        &format!("{}{signature}", "v1,x ".repeat(16))
    ));
}

#[test]
fn a_signature_in_another_spelling_is_refused() {
    let signature = body_signature("secret", b"{}");
    assert!(verify_body("secret", b"{}", &signature));
    for other in ["", "sha256=", &signature[7..], &signature.to_uppercase(), &format!("{signature} ")] {
        assert!(!verify_body("secret", b"{}", other), "{other}");
    }
    let secret = secret_of(vec![1; 32]);
    let signature = standard(&secret, "m", 7, b"{}");
    for other in [
        "",
        "v1,",
        &signature[3..],
        &signature.replace("v1", "v2"),
        signature.trim_end_matches('='),
    ] {
        assert!(!verify_standard(&secret, "m", 7, b"{}", other), "{other}");
    }
}

proptest! {
    #[test]
    fn we_sign_as_the_reference_library_does(
        key in prop::collection::vec(any::<u8>(), 24..=64), id in "[a-zA-Z0-9_-]{1,40}", timestamp: i64, body: String,
    ) {
        let reference = standardwebhooks::Webhook::from_bytes(key.clone()).unwrap();
        let ours = standard(&secret_of(key), &id, timestamp, body.as_bytes());
        prop_assert_eq!(ours, reference.sign(&id, timestamp, body.as_bytes()).unwrap());
    }

    #[test]
    fn the_reference_library_reads_our_secrets(key in prop::collection::vec(any::<u8>(), 24..=64), body: String) {
        let secret = secret_of(key);
        let reference = standardwebhooks::Webhook::new(&secret.to_text()).unwrap();
        prop_assert_eq!(standard(&secret, "m", 7, body.as_bytes()), reference.sign("m", 7, body.as_bytes()).unwrap());
    }

    #[test]
    fn one_key_signs_many_messages_as_if_each_were_its_first(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5),
    ) {
        let secret = secret_of(vec![9; 24]);
        let (standard_key, body_key) = (StandardKey::new(&secret), BodySignatureKey::new("s"));
        for body in &bodies {
            prop_assert_eq!(standard_key.sign("m", 7, body), standard(&secret, "m", 7, body));
            prop_assert_eq!(body_key.sign(body), body_signature("s", body));
        }
    }

    #[test]
    fn a_changed_body_id_or_time_no_longer_verifies(
        body in prop::collection::vec(any::<u8>(), 1..100), position: prop::sample::Index, flip in 1_u8..,
    ) {
        let secret = secret_of(vec![5; 32]);
        let signature = standard(&secret, "msg", 7, &body);
        let of_body = body_signature("s", &body);
        prop_assert!(verify_standard(&secret, "msg", 7, &body, &signature));
        prop_assert!(!verify_standard(&secret, "msh", 7, &body, &signature));
        prop_assert!(!verify_standard(&secret, "msg", 8, &body, &signature));
        let mut changed = body.clone();
        changed[position.index(body.len())] ^= flip;
        prop_assert!(!verify_standard(&secret, "msg", 7, &changed, &signature));
        prop_assert!(verify_body("s", &body, &of_body));
        prop_assert!(!verify_body("s", &changed, &of_body));
    }
}
