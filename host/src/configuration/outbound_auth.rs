//! How a receiver knows that it is us, besides the signature: what its owner wants sent along.

use serde::{Deserialize, Serialize};

use crate::store::SecretText;

/// Kept sealed, as JSON. Never shown again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum OutboundAuth {
    /// A header of the receiver's own.
    ApiKey { header_name: String, value: String },
    /// `Authorization: Bearer …`.
    BearerToken { token: String },
    /// `Authorization: Basic …` (RFC 7617).
    BasicAuth { username: String, password: String },
    /// A bearer token fetched for each attempt by client credentials (RFC 6749, section 4.4).
    JwtBearer {
        token_endpoint: String,
        client_id: String,
        client_secret: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
}

impl OutboundAuth {
    /// The name of the kind; the rest is secret.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ApiKey { .. } => "api-key",
            Self::BearerToken { .. } => "bearer-token",
            Self::BasicAuth { .. } => "basic-auth",
            Self::JwtBearer { .. } => "jwt-bearer",
        }
    }

    pub fn to_secret(&self) -> SecretText {
        SecretText::new(serde_json::to_string(self).expect("texts always serialise"))
    }

    /// # Errors
    /// The text is not what [`OutboundAuth::to_secret`] makes. It says nothing of the text.
    pub fn of_secret(secret: &SecretText) -> Result<Self, String> {
        serde_json::from_str(secret.expose()).map_err(|_| "its outbound authentication does not parse".to_owned())
    }
}

impl std::fmt::Debug for OutboundAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutboundAuth({})", self.kind())
    }
}
