//! Which content types are taken; any other is the dialect's 415.

use http::{HeaderMap, header};

use super::Refused;

/// Refuses what is neither `application/json` nor of a type with the `+json` suffix (RFC 6839), with any parameters.
///
/// # Errors
/// [`Refused::ContentType`].
pub fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let text = of(headers).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        Ok(())
    } else {
        Err(Refused::ContentType)
    }
}

/// The content type as it was sent.
pub(super) fn of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn json_types_are_json_and_nothing_else_is() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.github+json"] {
            assert_eq!(check_content_type(&with(good)), Ok(()), "{good}");
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "",
            "text/json",
        ] {
            let checked = check_content_type(&with(bad));
            assert_eq!(checked, Err(Refused::ContentType), "{bad}");
        }
        assert_eq!(check_content_type(&HeaderMap::new()), Err(Refused::ContentType));
    }

    fn with(content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).expect("a header value"));
        headers
    }
}
