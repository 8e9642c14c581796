//! Sessions: logging in, staying logged in, logging out.
//!
//! A log-in gives two tokens. The access token is a JSON Web Token (RFC 7519) signed with a key that follows from the
//! server's secret, good for a quarter of an hour; the refresh token is good for a week and for one use, which gives the next
//! pair. A refresh token that is used again means that two have it, so the session ends for both (RFC 9700, section
//! 4.14.2). Both name their session, and every use asks whether that is still there: logging out, a new password or a
//! deactivated user shut out at once, on every node. What a person may do is what the user's row says, whatever the token says.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookyard_domain::{ContentHash, SessionId, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{Refusal, User, check, password};
use crate::{
    clock::Clock,
    store::{Refreshed, SecretText, SessionRow, Store},
};

/// How long an access token is good: what somebody who copied it can do with it ends soon.
pub const ACCESS_LASTS: Duration = Duration::from_mins(15);
/// How long a log-in lasts without being used.
const REFRESH_LASTS: Duration = Duration::from_hours(7 * 24);
/// Tokens that another server signs with the same key, for whatever reason, are not ours.
const ISSUER: &str = "hookyard";
const AUDIENCE: &str = "hookyard";
/// How long after its use a refresh token may come again without harm: two pages of one person refresh at the same moment.
const REUSE_GRACE: Duration = Duration::from_secs(10);
/// A refresh token is its session's id, so many random bytes, and the seal of both.
const RANDOM_BYTES: usize = 16;
const SEAL_BYTES: usize = 16;

/// What a log-in gives.
#[derive(Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: SecretText,
    /// When the refresh token runs out.
    pub expires_at: Timestamp,
}

/// A person who calls with an access token.
#[derive(Debug, Clone)]
pub struct Person {
    pub session: SessionId,
    pub user: User,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    sid: String,
    email: String,
    tenant_id: String,
    role: String,
    iat: i64,
    exp: i64,
}

/// Why nobody is logged in. Which of the two is not for the caller to know.
const NOBODY: Refusal = Refusal::NotFound { what: "session" };

/// Log-ins. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    store: Store,
    clock: Clock,
    signs: EncodingKey,
    checks: DecodingKey,
    /// Tells refresh tokens that were given out from those that were made up.
    seals: [u8; 32],
}

impl Sessions {
    /// `key` signs the access tokens; nodes that share a database need the same.
    pub fn new(store: Store, clock: Clock, key: &[u8; 32]) -> Self {
        Self {
            store,
            clock,
            signs: EncodingKey::from_secret(key),
            checks: DecodingKey::from_secret(key),
            seals: *ContentHash::of(&[b"refresh tokens".as_slice(), key].concat()).as_bytes(),
        }
    }

    /// # Errors
    /// [`Refusal::NotFound`] for an unknown address, a wrong password and a user who may not log in alike.
    pub async fn log_in(&self, email: &str, password: SecretText, role_word: impl Fn(&User) -> &'static str) -> Result<Tokens, Refusal> {
        let row = self.store.user_by_email(&check::normal_email(email)).await?;
        let kept = row.as_ref().map(|row| row.password_hash.clone());
        let right = password::is_right(password, kept).await?;
        let row = row.filter(|_| right).ok_or(NOBODY)?;
        let user = User::of(&row).filter(|user| user.active).ok_or(NOBODY)?;
        let now = self.clock.now();
        let session = SessionId::new_v7(now, rand::random());
        let refresh = self.new_refresh_token(session);
        let expires_at = now.plus(REFRESH_LASTS);
        if !self.store.open_session(session, &row, hash(&refresh), expires_at, now).await? {
            return Err(NOBODY);
        }
        Ok(self.tokens(session, &user, role_word(&user), refresh, expires_at))
    }

    /// The next pair of tokens for a refresh token, which is used up by that.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]: the token is unknown, ran out, was used, or its user may not log in any more.
    pub async fn refresh(&self, token: &str, role_word: impl Fn(&User) -> &'static str) -> Result<Tokens, Refusal> {
        let now = self.clock.now();
        let session = self.session_of(token).ok_or(NOBODY)?;
        let (row, user) = self.active(session, now).await?;
        let refresh = self.new_refresh_token(session);
        let expires_at = now.plus(REFRESH_LASTS);
        let used = ContentHash::of(token.as_bytes());
        let just_replaced = row.previous_hash == Some(used) && now.since(row.refreshed_at) < REUSE_GRACE;
        if row.hash != used && !just_replaced {
            tracing::warn!(user = %user.id, tenant = %user.tenant, "a refresh token was used again; its session is closed");
            self.store.close_session(session).await?;
            return Err(NOBODY);
        }
        match self.store.refresh_session(row.id, used, hash(&refresh), expires_at, now).await? {
            Refreshed::Done => Ok(self.tokens(session, &user, role_word(&user), refresh, expires_at)),
            // Used a moment ago by another request.
            Refreshed::UsedBefore => Err(NOBODY),
        }
    }

    /// Ends the session of a refresh token and the one that asks for it.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]: the refresh token is not one of this person's that is good now.
    pub async fn log_out(&self, person: &Person, token: &str) -> Result<(), Refusal> {
        let session = self.session_of(token).ok_or(NOBODY)?;
        let row = self.store.session(session, self.clock.now()).await?.ok_or(NOBODY)?;
        if row.user.id != person.user.id || row.hash != ContentHash::of(token.as_bytes()) {
            return Err(NOBODY);
        }
        self.store.close_session(session).await?;
        if session != person.session {
            self.store.close_session(person.session).await?;
        }
        Ok(())
    }

    /// Who calls with this access token.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]: the token is not ours, ran out, or its session ended.
    pub async fn person(&self, token: &str) -> Result<Person, Refusal> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        // By the clock of the server, below.
        rules.validate_exp = false;
        let claims = decode::<Claims>(token, &self.checks, &rules).map_err(|_| NOBODY)?.claims;
        let now = self.clock.now();
        if claims.exp <= now.as_secs() {
            return Err(NOBODY);
        }
        let session = claims.sid.parse().map_err(|_| NOBODY)?;
        let (_, user) = self.active(session, now).await?;
        if user.id.to_string() != claims.sub {
            return Err(NOBODY);
        }
        Ok(Person { session, user })
    }

    async fn active(&self, session: SessionId, now: Timestamp) -> Result<(SessionRow, User), Refusal> {
        let row = self.store.session(session, now).await?.ok_or(NOBODY)?;
        let user = User::of(&row.user).filter(|user| user.active).ok_or(NOBODY)?;
        Ok((row, user))
    }

    fn new_refresh_token(&self, session: SessionId) -> SecretText {
        let mut bytes = session.as_uuid().as_bytes().to_vec();
        bytes.extend_from_slice(&rand::random::<[u8; RANDOM_BYTES]>());
        let seal = self.seal(&bytes);
        bytes.extend_from_slice(&seal);
        SecretText::new(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The session of a refresh token that was given out, whether or not it is still good.
    fn session_of(&self, token: &str) -> Option<SessionId> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (text, seal) = bytes.split_at_checked(16 + RANDOM_BYTES)?;
        let genuine: bool = seal.ct_eq(&self.seal(text)).into();
        genuine.then(|| SessionId::from_uuid(Uuid::from_slice(&text[..16]).expect("16 bytes are a UUID")))
    }

    fn seal(&self, text: &[u8]) -> [u8; SEAL_BYTES] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.seals).expect("any length will do");
        mac.update(text);
        *mac.finalize().into_bytes().first_chunk().expect("a hash is longer than a seal")
    }

    fn tokens(&self, session: SessionId, user: &User, role: &str, refresh: SecretText, expires_at: Timestamp) -> Tokens {
        let now = self.clock.now();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.id.to_string(),
            jti: Uuid::from_bytes(rand::random()).to_string(),
            sid: session.to_string(),
            email: user.email.clone(),
            tenant_id: user.tenant.to_string(),
            role: role.to_owned(),
            iat: now.as_secs(),
            exp: now.plus(ACCESS_LASTS).as_secs(),
        };
        Tokens {
            access: encode(&Header::new(Algorithm::HS256), &claims, &self.signs).expect("texts and numbers always serialise"),
            refresh,
            expires_at,
        }
    }
}

fn hash(token: &SecretText) -> ContentHash {
    ContentHash::of(token.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refresh_token_names_its_session_and_cannot_be_made_up() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let location = crate::store::Location::Sqlite(folder.path().join("hookyard.db"));
        let clock = Clock::default();
        let (node, seal) = (Store::new_node_id(clock.now()), crate::store::SealKey::from_bytes(&[1; 32]));
        let store = Store::open(&location, node, seal, clock.now()).await.expect("it opens");
        let sessions = Sessions::new(store.clone(), clock.clone(), &[7; 32]);
        let session = SessionId::new_v7(Timestamp::EPOCH, [7; 10]);
        let token = sessions.new_refresh_token(session);
        assert_eq!(sessions.session_of(token.expose()), Some(session));
        assert_ne!(token, sessions.new_refresh_token(session));
        for other in ["", "x", &token.expose()[1..], &format!("{}AAAA", token.expose()), "é"] {
            assert_eq!(sessions.session_of(other), None, "{other}");
        }
        let of_another_key = Sessions::new(store, clock, &[8; 32]);
        assert_eq!(of_another_key.session_of(token.expose()), None);
    }
}
