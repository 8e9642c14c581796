//! `hookyard backup`: a copy of SQLite's database, beside a server that works on it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{Common, Failure};
use crate::store::{BackupError, Location, backup};

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Where the copy goes; nothing is replaced. It holds payloads and sealed secrets, and not the key that opens them
    file: PathBuf,
}

impl Backup {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        common.must_exist()?;
        let from = match common.database()? {
            Location::Sqlite(path) => path,
            Location::Postgres(_) => {
                let why = "PostgreSQL has tools of its own: \"pg_dump --format=custom --file FILE URL\" makes a copy while servers work, \
                           and \"pg_restore --dbname URL FILE\" puts it into an empty database";
                return Err(Failure::Usage(why.to_owned()));
            }
        };
        let to = self.file.clone();
        let copied = tokio::task::spawn_blocking(move || backup(&from, &to))
            .await
            .context("the backup was interrupted")?;
        match copied {
            Ok(bytes) => {
                say!(
                    "{} holds the database: {bytes} bytes. Keep the key somewhere else",
                    self.file.display()
                );
                Ok(())
            }
            Err(error @ (BackupError::Exists(_) | BackupError::Name(_))) => Err(Failure::Usage(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}
