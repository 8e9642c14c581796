//! What is put around a stored payload on its way into the request.
//!
//! The payload is never parsed: its bytes are copied as they were accepted, so that numbers, the order of members and
//! whitespace reach the receiver unchanged. Built at each attempt from the same bytes, so that every attempt sends the same
//! body. Whether the payload is JSON was checked where it came in.

/// What becomes of the stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// They are the body (promise A3).
    Verbatim,
    /// The body is `{"type":"<event type>","data":<stored bytes>}`, members in this order, no whitespace of ours.
    TypeAndData,
}

/// The media type of a wrapped body.
pub const WRAPPED_CONTENT_TYPE: &str = "application/json";

impl Envelope {
    /// The body to send for these stored bytes; `None` when they are sent as they are.
    ///
    /// Only JSON can be a member of a JSON object: bytes of another content type, which only a plugin makes, are sent as they
    /// are, with that content type.
    pub fn wrap(self, event_type: &str, content_type: &str, stored: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::TypeAndData if is_json(content_type) => Some(type_and_data(event_type, stored)),
            Self::Verbatim | Self::TypeAndData => None,
        }
    }
}

/// `application/json` or a type that says it is written in JSON (RFC 6839, section 3.1), whatever its parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split_once(';').map_or(content_type, |(essence, _)| essence);
    let essence = essence.trim_end_matches([' ', '\t']).to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

fn type_and_data(event_type: &str, stored: &[u8]) -> Vec<u8> {
    const TYPE: &[u8] = br#"{"type":""#;
    const DATA: &[u8] = br#"","data":"#;
    const END: &[u8] = b"}";
    // Room for the type without escapes, which is nearly every type.
    let mut body = Vec::with_capacity(TYPE.len() + event_type.len() + DATA.len() + stored.len() + END.len());
    body.extend_from_slice(TYPE);
    push_escaped(&mut body, event_type);
    body.extend_from_slice(DATA);
    body.extend_from_slice(stored);
    body.extend_from_slice(END);
    body
}

/// Writes the inside of a JSON string (RFC 8259, section 7): quote, backslash and control characters escaped, in the short
/// form where there is one, everything else as it is.
fn push_escaped(body: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in text.bytes() {
        match byte {
            b'"' => body.extend_from_slice(br#"\""#),
            b'\\' => body.extend_from_slice(br"\\"),
            0x08 => body.extend_from_slice(br"\b"),
            b'\t' => body.extend_from_slice(br"\t"),
            b'\n' => body.extend_from_slice(br"\n"),
            0x0c => body.extend_from_slice(br"\f"),
            b'\r' => body.extend_from_slice(br"\r"),
            0x00..=0x1f => {
                body.extend_from_slice(br"\u00");
                body.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0x0f)]]);
            }
            // The bytes of a character beyond ASCII too: JSON is UTF-8.
            _ => body.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wrapped(event_type: &str, stored: &str) -> String {
        let body = Envelope::TypeAndData.wrap(event_type, "application/json", stored.as_bytes());
        String::from_utf8(body.unwrap()).unwrap()
    }

    #[test]
    fn stored_bytes_are_wrapped_as_they_are() {
        for (event_type, stored, body) in [
            (
                "webhook.test",
                r#"{"test":true}"#,
                r#"{"type":"webhook.test","data":{"test":true}}"#,
            ),
            // Beyond what a double can hold, in an order of their own, written twice, with whitespace.
            (
                "a",
                "{ \"n\": 12345678901234567890,\n \"b\":1.0, \"a\":1e2, \"a\":2 }",
                "{\"type\":\"a\",\"data\":{ \"n\": 12345678901234567890,\n \"b\":1.0, \"a\":1e2, \"a\":2 }}",
            ),
            ("", "[]", r#"{"type":"","data":[]}"#),
            ("größe", r#""é😀""#, r#"{"type":"größe","data":"é😀"}"#),
        ] {
            assert_eq!(wrapped(event_type, stored), body);
        }
    }

    #[test]
    fn an_event_type_cannot_leave_its_string() {
        assert_eq!(
            wrapped("a\",\"data\":{}}\\\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}", "1"),
            "{\"type\":\"a\\\",\\\"data\\\":{}}\\\\\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}\",\"data\":1}"
        );
    }

    #[test]
    fn what_is_not_json_is_sent_as_it_is_and_verbatim_always_is() {
        for (content_type, is_wrapped) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json ;x=y", true),
            ("application/cloudevents+json", true),
            ("text/plain", false),
            ("application/jsonl", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            let body = Envelope::TypeAndData.wrap("a", content_type, b"1");
            assert_eq!(body.is_some(), is_wrapped, "{content_type}");
            assert_eq!(Envelope::Verbatim.wrap("a", content_type, b"1"), None);
        }
    }

    proptest! {
        #[test]
        fn the_type_reads_back_and_the_bytes_stand_in_the_body(event_type: String, number: i64, text: String) {
            let stored = serde_json::json!({"number": number, "text": text}).to_string();
            let body = wrapped(&event_type, &stored);
            let read: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&read["type"], &serde_json::Value::from(event_type));
            prop_assert_eq!(read["data"].to_string(), serde_json::from_str::<serde_json::Value>(&stored).unwrap().to_string());
            let begins = body.starts_with(r#"{"type":""#);
            let ends = body.ends_with(&format!(r#","data":{stored}}}"#));
            prop_assert!(begins && ends);
        }
    }
}
