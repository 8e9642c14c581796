//! Bodies that came as a form: the JSON inside them is the event, while the signature stays one over the form.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{Payload, Refused, Request};

/// Fields of a form that are looked at. Slack sends some fifteen.
const FIELDS_MAX: usize = 256;
/// The field that holds a JSON text: GitHub and Slack agree on its name.
const JSON_FIELD: &str = "payload";

/// The JSON text in the field `payload` of a form, or the body itself if it is no form.
///
/// # Errors
/// [`Refused::BodyNotReadable`] if the form has no such field.
pub(super) fn payload(request: &Request<'_>) -> Result<Payload, Refused> {
    if !request.is_form() {
        return Ok(Payload::AsReceived);
    }
    json_field(request.body)
        .map(Payload::Json)
        .ok_or_else(|| Refused::BodyNotReadable("it is a form without the field payload".to_owned()))
}

/// As [`payload`]; a form without that field becomes a JSON object of its fields, all of them texts.
pub(super) fn payload_or_fields(request: &Request<'_>) -> Payload {
    if !request.is_form() {
        return Payload::AsReceived;
    }
    let json = json_field(request.body).unwrap_or_else(|| {
        let fields = fields(request.body).map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())));
        Value::Object(fields.collect::<Map<_, _>>()).to_string()
    });
    Payload::Json(json)
}

fn json_field(body: &[u8]) -> Option<String> {
    fields(body)
        .find(|(name, _)| name == JSON_FIELD)
        .map(|(_, value)| value.into_owned())
}

fn fields(body: &[u8]) -> impl Iterator<Item = (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)> {
    form_urlencoded::parse(body).take(FIELDS_MAX)
}
