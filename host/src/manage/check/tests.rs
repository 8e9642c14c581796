//! Each check takes what it should and says what is wrong with the rest.

use hookyard_domain::profile;

use super::*;

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

/// Asserts that the value is refused with a message that says this.
#[track_caller]
fn refused(checked: Result<(), String>, part: &str) {
    let message = checked.expect_err("it must be refused");
    assert!(message.contains(part), "it does not say {part:?}: {message}");
}

#[test]
fn a_name_is_short_and_plain() {
    for good in ["a", "0", "acme", "a.b-c_d", &"a".repeat(64)] {
        assert_eq!(name(good), Ok(()), "{good}");
    }
    for bad in ["", "Acme", "-a", ".a", "a b", "ä", "a/b", &"a".repeat(65)] {
        refused(name(bad), "1 to 64");
    }
}

#[test]
fn a_description_is_any_text_that_can_be_stored() {
    assert_eq!(description("Lager Süd, Halle 3 ☕"), Ok(()));
    refused(description(&"ä".repeat(1_025)), "longer than 1024");
    refused(description("a\0b"), "NUL");
}

#[test]
fn a_url_is_https_unless_plain_http_is_asked_for() {
    assert_eq!(url("https://example.com/x?y=1", PlainHttp::Refused), Ok(()));
    assert_eq!(url("http://example.com", PlainHttp::Allowed), Ok(()));
    for (text, part) in [
        ("http://example.com", "insecure_http"),
        ("ftp://example.com", "not ftp"),
        ("example.com", "is not a URL"),
        ("data:text/plain,x", "names no host"),
        ("https://user:pw@example.com", "password"),
        ("https://user@example.com", "user name"),
        (&format!("https://example.com/{}", "x".repeat(2_048)), "longer than"),
    ] {
        refused(url(text, PlainHttp::Refused), part);
    }
}

#[test]
fn a_credential_has_its_kinds_prefix_and_cannot_be_guessed() {
    let check = |kind, text: &str| credential(kind, &secret(text));
    assert_eq!(check(CredentialKind::ApiKey, "anything-20-long.yes"), Ok(()));
    assert_eq!(check(CredentialKind::EndpointToken, "dst_0123456789abcdef"), Ok(()));
    assert_eq!(check(CredentialKind::SenderToken, "sndr_0123456789abcdef"), Ok(()));
    refused(check(CredentialKind::SenderToken, "dst_0123456789abcdef"), "begin with sndr_");
    refused(check(CredentialKind::ApiKey, "nineteen-characters"), "20 to 512");
    refused(check(CredentialKind::ApiKey, &"a".repeat(513)), "20 to 512");
    refused(check(CredentialKind::ApiKey, "with a space in it 0123"), "letters");
}

#[test]
fn a_signing_secret_is_long_enough() {
    assert_eq!(signing_secret(&secret("0123456789abcdef0123456789abcdef")), Ok(()));
    refused(signing_secret(&secret("short")), "24 to 64");
}

#[test]
fn numbers_have_their_range() {
    assert_eq!((attempts_max(1), attempts_max(100)), (Ok(()), Ok(())));
    assert!(attempts_max(0).is_err() && attempts_max(101).is_err());
    assert_eq!((breaker_block_s(1), breaker_block_s(86_400)), (Ok(()), Ok(())));
    refused(breaker_block_s(0), "1 to 86400");
    refused(breaker_block_s(86_401), "1 to 86400");
    assert_eq!((concurrency_max(1), concurrency_max(1_024)), (Ok(()), Ok(())));
    refused(concurrency_max(0), "1 to 1024");
    refused(concurrency_max(1_025), "1 to 1024");
    assert_eq!(events_count(1_000), Ok(()));
    refused(events_count(1_001), "1000 patterns");
}

#[test]
fn a_pattern_is_read_as_the_profile_reads_it() {
    assert_eq!(event_pattern(&profile::hooksentry::PROFILE, "order.*"), Ok(()));
    refused(event_pattern(&profile::hooksentry::PROFILE, "order.*.paid"), "`*`");
    assert_eq!(
        event_pattern(&profile::nestarc::PROFILE, "order.*.paid"),
        Ok(()),
        "there it is a literal"
    );
}

#[test]
fn metadata_is_any_object_up_to_16_kib() {
    let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).expect("an object");
    assert_eq!(metadata(&object(r#"{"a": [1, {"b": null}], "ü": "x"}"#)), Ok(()));
    refused(metadata(&object(r#"{"": 1}"#)), "without a name");
    let long = "x".repeat(METADATA_BYTES_MAX);
    refused(metadata(&object(&format!(r#"{{"a": "{long}"}}"#))), "16384");
}

#[test]
fn a_plugin_configuration_has_a_bound() {
    assert_eq!(plugin_config(&serde_json::json!({ "a": 1 })), Ok(()));
    refused(plugin_config(&Value::String("x".repeat(CONFIG_BYTES_MAX))), "65536");
}

#[test]
fn no_plugin_is_shown_a_credential() {
    assert_eq!(exposed_header("X-GitHub-Event"), Ok(()));
    for bad in ["Authorization", "cookie", "X-API-Key"] {
        refused(exposed_header(bad), "credential");
    }
    assert!(exposed_header("with space").is_err());
}
