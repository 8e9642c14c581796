//! Outbound authentication as HookSentry spells it (docs/contracts/hooksentry.md, section 9).

use hookyard_domain::decision::reserved_header;
use serde_json::Value;
use url::Url;
use utoipa::openapi::{ObjectBuilder, Type, schema::OneOfBuilder};

use super::openapi;

use crate::configuration::OutboundAuth;

const HEADER_NAME_CHARS_MAX: usize = 100;
const VALUE_CHARS_MAX: usize = 2_048;
const TOKEN_CHARS_MAX: usize = 4_096;
const URL_CHARS_MAX: usize = 2_048;
const TEXT_CHARS_MAX: usize = 512;

pub const WORDS: [&str; 4] = ["ApiKey", "BearerToken", "BasicAuth", "JwtBearer"];

/// The fields of each kind in the order of [`WORDS`]; what must be among them is told by [`read`].
pub fn schema() -> OneOfBuilder {
    let field = |chars_max: usize| openapi::line_not_blank(chars_max);
    let visible = |chars_max: usize| field(chars_max).pattern(Some("^ *[!-~][ -~]*$"));
    let (key, token, basic, bearer) = (
        ObjectBuilder::new(),
        ObjectBuilder::new(),
        ObjectBuilder::new(),
        ObjectBuilder::new(),
    );
    let name = field(HEADER_NAME_CHARS_MAX).pattern(Some("^[A-Za-z0-9_-]+$"));
    let endpoint = field(URL_CHARS_MAX).pattern(Some(r"^https://[a-z0-9.-]+(:[0-9]{1,4})?(/[!-~]*)?$"));
    let key = key.property("headerName", name).required("headerName");
    let token = token.property("token", visible(TOKEN_CHARS_MAX)).required("token");
    let basic = basic
        .property("username", field(TEXT_CHARS_MAX).pattern(Some("^[!-9;-~]+$")))
        .required("username");
    let bearer = bearer.property("tokenEndpoint", endpoint).required("tokenEndpoint");
    let bearer = bearer.property("clientId", field(TEXT_CHARS_MAX)).required("clientId");
    let bearer = bearer.property("clientSecret", field(TEXT_CHARS_MAX)).required("clientSecret");
    OneOfBuilder::new()
        .item(key.property("value", visible(VALUE_CHARS_MAX)).required("value"))
        .item(token)
        .item(basic.property("password", field(TEXT_CHARS_MAX)).required("password"))
        .item(bearer.property("scope", openapi::or_none(field(TEXT_CHARS_MAX))))
        .item(openapi::of_type(Type::Null))
}

pub fn word(auth: &OutboundAuth) -> &'static str {
    match auth {
        OutboundAuth::ApiKey { .. } => "ApiKey",
        OutboundAuth::BearerToken { .. } => "BearerToken",
        OutboundAuth::BasicAuth { .. } => "BasicAuth",
        OutboundAuth::JwtBearer { .. } => "JwtBearer",
    }
}

/// None: neither was given. What is wrong is told without any of the secrets.
///
/// # Errors
/// One without the other, an unknown type, a field that is missing, too long or holds what no header can.
pub fn read(kind: Option<&str>, credentials: Option<&Value>) -> Result<Option<OutboundAuth>, String> {
    let (kind, credentials) = match (kind, credentials.filter(|credentials| !credentials.is_null())) {
        (None, None) => return Ok(None),
        (Some(kind), Some(credentials)) => (kind, credentials),
        _ => return Err("authType and credentials must be given together".to_owned()),
    };
    let text = |name: &str, max: usize| match credentials.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => within(name, text, max),
        _ => Err(format!("credentials.{name} must be a text that is not blank")),
    };
    let auth = match kind.to_ascii_lowercase().as_str() {
        "apikey" => OutboundAuth::ApiKey {
            header_name: header_name(&text("headerName", HEADER_NAME_CHARS_MAX)?)?,
            value: text("value", VALUE_CHARS_MAX).and_then(|value| visible("value", value))?,
        },
        "bearertoken" => OutboundAuth::BearerToken {
            token: text("token", TOKEN_CHARS_MAX).and_then(|token| visible("token", token))?,
        },
        "basicauth" => OutboundAuth::BasicAuth {
            username: text("username", TEXT_CHARS_MAX).and_then(|name| {
                let colon = name.contains(':');
                if colon {
                    Err("credentials.username must not hold a ':'".to_owned())
                } else {
                    Ok(name)
                }
            })?,
            password: text("password", TEXT_CHARS_MAX)?,
        },
        "jwtbearer" => OutboundAuth::JwtBearer {
            token_endpoint: https(&text("tokenEndpoint", URL_CHARS_MAX)?)?,
            client_id: text("clientId", TEXT_CHARS_MAX)?,
            client_secret: text("clientSecret", TEXT_CHARS_MAX)?,
            scope: match credentials.get("scope") {
                None | Some(Value::Null) => None,
                Some(_) => Some(text("scope", TEXT_CHARS_MAX)?),
            },
        },
        _ => return Err("authType must be one of ApiKey, BearerToken, JwtBearer, BasicAuth".to_owned()),
    };
    Ok(Some(auth))
}

fn within(name: &str, text: &str, max: usize) -> Result<String, String> {
    if text.chars().count() > max {
        return Err(format!("credentials.{name} is longer than {max} characters"));
    }
    if text.contains(['\r', '\n', '\0']) {
        return Err(format!("credentials.{name} must not hold line breaks or NUL"));
    }
    Ok(text.to_owned())
}

/// What a header's value can hold.
fn visible(name: &str, text: String) -> Result<String, String> {
    if text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(format!("credentials.{name} may hold visible ASCII characters only"))
    }
}

fn header_name(text: &str) -> Result<String, String> {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if plain && reserved_header(text) && !text.eq_ignore_ascii_case("authorization") {
        Err(format!("credentials.headerName must not be {text}: the server sets it itself"))
    } else if plain {
        Ok(text.to_owned())
    } else {
        Err("credentials.headerName may hold letters, digits, '-' and '_' only".to_owned())
    }
}

fn https(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" && url.host().is_some() && url.username().is_empty() && url.password().is_none() => {
            Ok(text.to_owned())
        }
        _ => Err("credentials.tokenEndpoint must be an https URL".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_has_its_fields_and_their_bounds() {
        let good = [
            ("ApiKey", json!({"headerName": "X-Key_1", "value": "v"})),
            ("bearertoken", json!({"token": "t"})),
            ("BASICAUTH", json!({"username": "u", "password": "p:p"})),
            (
                "JwtBearer",
                json!({"tokenEndpoint": "https://id.example.com/token", "clientId": "c", "clientSecret": "s"}),
            ),
            (
                "JwtBearer",
                json!({"tokenEndpoint": "https://id.example.com/token", "clientId": "c", "clientSecret": "s", "scope": "a b"}),
            ),
        ];
        for (kind, credentials) in &good {
            let auth = read(Some(kind), Some(credentials)).expect("it is right").expect("it was given");
            assert!(word(&auth).eq_ignore_ascii_case(kind));
            assert_eq!(OutboundAuth::of_secret(&auth.to_secret()), Ok(auth));
        }
        let bad = [
            ("Kerberos", json!({})),
            ("ApiKey", json!({"headerName": "X Key", "value": "v"})),
            ("ApiKey", json!({"headerName": "Webhook-Signature", "value": "v"})),
            ("ApiKey", json!({"headerName": "x".repeat(101), "value": "v"})),
            ("ApiKey", json!({"headerName": "X", "value": "a\r\nb"})),
            ("ApiKey", json!({"headerName": "X", "value": 5})),
            ("BearerToken", json!({"token": " "})),
            ("BearerToken", json!({"token": "tökén"})),
            ("BearerToken", json!({"token": "x".repeat(4_097)})),
            ("BasicAuth", json!({"username": "a:b", "password": "p"})),
            (
                "JwtBearer",
                json!({"tokenEndpoint": "http://id.example.com/token", "clientId": "c", "clientSecret": "s"}),
            ),
            (
                "JwtBearer",
                json!({"tokenEndpoint": "https://id.example.com/token", "clientId": "c", "clientSecret": "s", "scope": 1}),
            ),
            ("ApiKey", json!("text")),
        ];
        for (kind, credentials) in &bad {
            assert!(read(Some(kind), Some(credentials)).is_err(), "{kind} {credentials}");
        }
        assert_eq!(read(None, None), Ok(None));
        assert!(read(Some("ApiKey"), None).is_err() && read(None, Some(&json!({}))).is_err());
    }
}
