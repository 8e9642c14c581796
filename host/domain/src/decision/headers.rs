//! Which headers a router may add to a delivery, and what a name and a value may be made of.
//!
//! Stricter than HTTP where receivers differ. What the host itself sends is not checked here; the HTTP client does that.

use crate::profile;

/// Longest content type. RFC 6838, section 4.2, allows 127 characters to either side of the slash; parameters share them.
const CONTENT_TYPE_BYTES_MAX: usize = 255;

/// Names that a router may not set, in lower case: those the host sets, those that belong to the connection, and those that
/// carry credentials, which come from the endpoint's own settings alone.
const RESERVED_HEADERS: &[&str] = &[
    // Framing and addressing of the message: two values that disagree are request smuggling (RFC 9112, section 11).
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    // The connection's, not the message's (RFC 9110, section 7.6.1).
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    // Credentials and sessions.
    "authorization",
    "cookie",
    "set-cookie",
    // What the request says about where it comes from: a receiver may believe that the sending host wrote these.
    "date",
    "forwarded",
    "from",
    "origin",
    "referer",
    "user-agent",
    "via",
    // The host reads the response, so the host says how it may be encoded.
    "accept-encoding",
];

/// What names that a router may not set begin with, in lower case: headers of proxies (RFC 9110, section 11.7), of forwarding
/// hosts, of Standard Webhooks and the host's own. Those of the profiles are added ([`crate::profile::Profile::header_prefix`]).
const RESERVED_HEADER_PREFIXES: &[&str] = &["proxy-", "x-forwarded-", "webhook-", "x-hookyard-"];

/// Whether the host keeps this header to itself, in whatever case it is written, and also with `_` for `-`: a receiver
/// behind a CGI-like gateway (RFC 3875, section 4.1.18) reads `webhook_signature` and `Webhook-Signature` as one.
///
/// A custom header that an endpoint's own settings add is not known here; those are added last, and win.
pub fn reserved_header(name: &str) -> bool {
    let folded = name.to_ascii_lowercase().replace('_', "-");
    let of_profiles = profile::ALL.iter().filter_map(|profile| profile.header_prefix);
    let mut prefixes = RESERVED_HEADER_PREFIXES.iter().copied().chain(of_profiles);
    RESERVED_HEADERS.contains(&folded.as_str()) || prefixes.any(|prefix| folded.starts_with(prefix))
}

/// A token: one or more of the characters RFC 9110, section 5.6.2, allows in a name.
pub(super) fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Visible ASCII with spaces and tabs inside, or nothing (RFC 9110, section 5.5). The bytes above 127, which that section
/// calls obsolete, are refused: one receiver reads them as Latin-1, another as UTF-8, a third refuses them.
pub(super) fn is_header_value(text: &str) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) && !is_blank(bytes.first()) && !is_blank(bytes.last())
}

/// `type/subtype` and any parameters, at most 255 bytes (RFC 9110, section 8.3.1). The parameters need only be allowed in a
/// header value: the receiver reads them, the host does not.
pub(super) fn is_media_type(text: &str) -> bool {
    let essence = text
        .split_once(';')
        .map_or(text, |(essence, _)| essence.trim_end_matches([' ', '\t']));
    text.len() <= CONTENT_TYPE_BYTES_MAX
        && is_header_value(text)
        && essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_host_says_itself_no_router_can_say() {
        for name in [
            "Host",
            "content-length",
            "Content-Type",
            "TRANSFER-ENCODING",
            "connection",
            "te",
            "authorization",
            "cookie",
            "user-agent",
            "proxy-authorization",
            "Proxy-Connection",
            "webhook-id",
            "Webhook-Signature",
            "webhook_signature",
            "x-hookyard-event",
            "X_Forwarded_For",
        ] {
            assert!(reserved_header(name), "{name}");
        }
        for name in [
            "x-tenant",
            "accept",
            "idempotency-key",
            "x-github-event",
            "content-encoding",
            "webhooks",
            "hosts",
            "proxy",
            "é",
            "",
        ] {
            assert!(!reserved_header(name), "{name}");
        }
    }

    #[test]
    fn reserved_names_are_listed_as_they_are_compared() {
        for name in RESERVED_HEADERS.iter().chain(RESERVED_HEADER_PREFIXES) {
            assert!(is_token(name), "{name}");
            assert_eq!(name.to_ascii_lowercase().replace('_', "-"), *name);
        }
    }

    #[test]
    fn content_types_are_media_types() {
        for (text, is_one) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("application/vnd.acme+json ;v=\"1\"", true),
            ("text/plain;", true),
            ("", false),
            ("json", false),
            ("/json", false),
            ("application/", false),
            ("application/js on", false),
            ("application/json\r\nx: y", false),
            (" application/json", false),
            ("application/json; name=\"é\"", false),
        ] {
            assert_eq!(is_media_type(text), is_one, "{text:?}");
        }
        assert!(is_media_type(&format!("text/{}", "x".repeat(250))));
        assert!(!is_media_type(&format!("text/{}", "x".repeat(251))));
    }

    proptest! {
        #[test]
        fn no_accepted_name_or_value_can_end_its_line(text in any::<String>()) {
            let breaks = text.contains(['\r', '\n', '\0']);
            prop_assert!(!(breaks && (is_token(&text) || is_header_value(&text) || is_media_type(&text))));
        }

        #[test]
        fn a_reserved_name_stays_so_in_any_case(index in 0..RESERVED_HEADERS.len(), upper: u64) {
            let name: String = RESERVED_HEADERS[index]
                .chars()
                .enumerate()
                .map(|(at, letter)| if upper >> (at % 64) & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
                .collect();
            prop_assert!(reserved_header(&name));
        }
    }
}
