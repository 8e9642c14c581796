//! Passwords: kept as Argon2id, compared in time that tells nothing.
//!
//! The cost is that of the `argon2` crate's defaults, which are OWASP's first choice: 19 MiB, two passes, one lane
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>). One takes some 20 ms of a core, so few are
//! worked on at once and few wait: a flood of log-ins costs log-ins and nothing else.

use std::sync::{Arc, LazyLock};

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _, password_hash::SaltString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refusal;
use crate::store::SecretText;

/// Passwords worked on at once.
const AT_ONCE: usize = 2;
/// Passwords that may wait their turn: two seconds' work.
const WAITING_MAX: usize = 200;
/// A password of no user, for who asks about one that is not there waits as long as about one that is.
static OF_NOBODY: LazyLock<String> = LazyLock::new(|| hashed("of nobody"));

static WORKING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));
static WAITING: Semaphore = Semaphore::const_new(WAITING_MAX);

/// What is kept of a password.
///
/// # Errors
/// [`Refusal::Busy`].
pub(super) async fn hash(password: SecretText) -> Result<String, Refusal> {
    let turn = turn().await?;
    Ok(work(turn, move || hashed(password.expose())).await)
}

/// Whether a password is the one that was kept. Takes as long where nothing was kept.
///
/// # Errors
/// [`Refusal::Busy`].
pub(super) async fn is_right(password: SecretText, kept: Option<String>) -> Result<bool, Refusal> {
    let turn = turn().await?;
    Ok(work(turn, move || {
        let right = is_of(&password, kept.as_ref().unwrap_or(&OF_NOBODY));
        right && kept.is_some()
    })
    .await)
}

async fn turn() -> Result<OwnedSemaphorePermit, Refusal> {
    let _waiting = WAITING.try_acquire().map_err(|_| Refusal::Busy)?;
    Ok(Arc::clone(&WORKING).acquire_owned().await.expect("it is never closed"))
}

/// The turn ends with the work, not with the caller: one that goes away leaves the work to its end.
async fn work<T: Send + 'static>(turn: OwnedSemaphorePermit, work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = move || {
        let done = work();
        drop(turn);
        done
    };
    tokio::task::spawn_blocking(work)
        .await
        .expect("hashing does not panic, and the runtime waits for it")
}

fn hashed(password: &str) -> String {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).expect("16 bytes are a salt");
    Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .expect("its length is bounded")
        .to_string()
}

fn is_of(password: &SecretText, kept: &str) -> bool {
    PasswordHash::new(kept).is_ok_and(|kept| Argon2::default().verify_password(password.expose().as_bytes(), &kept).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_that_was_kept_is_right() {
        let text = |text: &str| SecretText::new(text.to_owned());
        let kept = hash(text("correct horse")).await.expect("there is a turn");
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, hash(text("correct horse")).await.expect("there is a turn"), "salted");
        assert!(is_right(text("correct horse"), Some(kept.clone())).await.expect("there is a turn"));
        assert!(!is_right(text("correct horsf"), Some(kept)).await.expect("there is a turn"));
        assert!(
            !is_right(text("of nobody"), None).await.expect("there is a turn"),
            "nobody logs in without a user"
        );
        assert!(!is_right(text("x"), Some("not a hash".to_owned())).await.expect("there is a turn"));
    }
}
