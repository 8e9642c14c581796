//! `hookyard apply`.

use std::{
    cell::RefCell,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Map, Value};

use super::{Common, Failure, Format, Needs, list::print_json};
use crate::{
    documents::{AppliedDocument, SetupDocument},
    manage::setup::file::{Secrets, SystemSecrets, read},
};

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The set-up file (TOML); `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only say what would change (a database that is missing is made all the same)
    #[arg(long)]
    dry_run: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Reads what the set-up takes from this process's environment and files, and remembers it: the set-up is carried out
/// elsewhere.
struct Taking<'a> {
    from: SystemSecrets<'a>,
    taken: RefCell<Taken>,
}

#[derive(Default)]
struct Taken {
    variables: Map<String, Value>,
    files: Map<String, Value>,
}

impl Secrets for Taking<'_> {
    fn variable(&self, name: &str) -> Result<String, String> {
        let value = self.from.variable(name)?;
        self.taken.borrow_mut().variables.insert(name.to_owned(), value.clone().into());
        Ok(value)
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let value = self.from.file(path)?;
        let mut taken = self.taken.borrow_mut();
        taken.files.insert(path.to_string_lossy().into_owned(), value.clone().into());
        Ok(value)
    }
}

impl Apply {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let (text, base) = if self.file.as_os_str() == "-" {
            (bounded(std::io::stdin()), PathBuf::from("."))
        } else {
            let base = self.file.parent().map_or_else(|| PathBuf::from("."), PathBuf::from);
            (std::fs::File::open(&self.file).and_then(bounded), base)
        };
        let text = text.map_err(|error| unreadable(&self.file, error))?;
        let not_applied = |problems: &dyn std::fmt::Display| Failure::Usage(format!("{} is not applied:\n{problems}", self.file.display()));
        let secrets = Taking {
            from: SystemSecrets { base: &base },
            taken: RefCell::default(),
        };
        // Read here too, so that a mistake is told before anything is opened or sent.
        read(&text, &secrets).map_err(|problems| not_applied(&problems))?;
        let Taken { variables, files } = secrets.taken.into_inner();
        let api = common
            .api(if self.dry_run {
                Needs::MadeDatabase
            } else {
                Needs::ClaimedDatabase
            })
            .await?;
        let document = SetupDocument {
            text,
            variables,
            files,
            dry_run: self.dry_run,
        };
        let applied: AppliedDocument = api.post("/api/v1/setup", &document).await.map_err(|failure| match failure {
            Failure::Invalid(problems) => not_applied(&problems),
            other => other,
        })?;
        for note in &applied.notes {
            eprintln!("hookyard: note: {note}");
        }
        self.print(&applied)
    }

    fn print(&self, applied: &AppliedDocument) -> Result<(), Failure> {
        match self.format {
            Format::Json => print_json(applied)?,
            Format::Table => {
                let (unchanged, changed): (Vec<_>, Vec<_>) = applied.changes.iter().partition(|change| change.action == "unchanged");
                for change in changed {
                    let fields = if change.fields.is_empty() {
                        String::new()
                    } else {
                        format!(" ({})", change.fields.join(", "))
                    };
                    let id = change.id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
                    say!("{:9} {} {}{fields}{id}", format!("{}d", change.action), change.kind, change.name);
                }
                say!(
                    "{} unchanged{}",
                    unchanged.len(),
                    if self.dry_run { "; nothing was written (--dry-run)" } else { "" }
                );
                for tenant in &applied.tenants {
                    say!("tenant {} has id {}", tenant.name, tenant.id);
                }
            }
        }
        Ok(())
    }
}

/// Far above a set-up of thousands of endpoints.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

fn bounded(source: impl std::io::Read) -> std::io::Result<String> {
    let mut text = String::new();
    let read = source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// A file that is not text is as wrong as one that is not TOML; any other failure is not the file's.
fn unreadable(file: &Path, error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::InvalidData => Failure::Usage(format!("{} is not applied: it is not UTF-8", file.display())),
        std::io::ErrorKind::FileTooLarge => Failure::Usage(format!("{} is not applied: it is larger than 4 MiB", file.display())),
        _ => Failure::Failed(anyhow::Error::new(error).context(format!("cannot read {}", file.display()))),
    }
}
