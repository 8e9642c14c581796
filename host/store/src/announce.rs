//! Notices between nodes that the configuration changed, over PostgreSQL's NOTIFY.
//!
//! A notice is a hint and the revision in the table is the truth: notices are lost across a reconnect, and PgBouncer in
//! transaction mode loses all of them, so every node polls the revision besides.

use super::{Db, Store, statements as sql};

/// Channel of the notices; they carry nothing.
const CHANNEL: &str = "hookyard_configuration";

impl Store {
    /// Hears other nodes' words that the configuration changed.
    pub fn announcements(&self) -> Announcements {
        Announcements {
            pool: match &self.db {
                Db::Sqlite(_) => None,
                Db::Postgres(pool) => Some(pool.clone()),
            },
            listener: None,
        }
    }

    /// Tells other nodes at once; the poll beneath tells those that did not hear.
    pub(super) async fn announce_configuration(&self) {
        if let Db::Postgres(pool) = &self.db
            && let Err(error) = sqlx::query(sql::NOTIFY_CONFIGURATION).execute(pool).await
        {
            tracing::debug!(%error, "cannot announce a configuration change; other nodes will find it by polling");
        }
    }
}

/// Notices of configuration changes. They may be lost, and PgBouncer in transaction mode loses all of them, so there
/// is a poll too.
#[derive(Debug)]
pub struct Announcements {
    pool: Option<sqlx::PgPool>,
    listener: Option<sqlx::postgres::PgListener>,
}

/// Pause before listening is tried again.
const LISTEN_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

impl Announcements {
    /// Waits for the next notice; for ever on SQLite, where only the poll tells. A call that is dropped loses nothing.
    pub async fn next(&mut self) {
        let Some(pool) = &self.pool else {
            return std::future::pending().await;
        };
        loop {
            match &mut self.listener {
                Some(listener) => {
                    if listener.recv().await.is_ok() {
                        return;
                    }
                    self.listener = None;
                }
                None => match listen(pool).await {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        // Whatever changed while nobody listened is found now.
                        return;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "cannot listen for configuration changes");
                        tokio::time::sleep(LISTEN_PAUSE).await;
                    }
                },
            }
        }
    }
}

async fn listen(pool: &sqlx::PgPool) -> Result<sqlx::postgres::PgListener, sqlx::Error> {
    let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
