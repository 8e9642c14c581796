//! `hookyard apply`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use hookyard_domain::Scope;
use serde::Serialize;

use super::{Common, Failure, Format, refused};
use crate::{
    cli::manage,
    manage::{
        Refusal,
        setup::{
            Action, Applied, Line, Mode,
            file::{SystemSecrets, read},
        },
    },
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

#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    changes: &'a [Line],
    tenants: Vec<TenantLine<'a>>,
}

#[derive(Serialize)]
struct TenantLine<'a> {
    name: &'a str,
    id: String,
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
        let setup = read(&text, &SystemSecrets { base: &base })
            .map_err(|problems| Failure::Usage(format!("{} is not applied:\n{problems}", self.file.display())))?;
        let store = common.store().await?;
        if !self.dry_run {
            store.claim_key().await?;
        }
        let manage = manage(store);
        let mode = if self.dry_run { Mode::DryRun } else { Mode::Write };
        let applied = manage.apply(Scope::Operator, &setup, mode).await.map_err(|refusal| match refusal {
            Refusal::Invalid(problems) => Failure::Usage(format!("{} is not applied:\n{problems}", self.file.display())),
            other => refused(other),
        })?;
        for note in &applied.notes {
            eprintln!("hookyard: note: {note}");
        }
        self.print(&applied)
    }

    fn print(&self, applied: &Applied) -> Result<(), Failure> {
        let tenants = applied.tenants.iter().map(|(name, id)| TenantLine { name, id: id.to_string() });
        match self.format {
            Format::Json => {
                let report = Report {
                    dry_run: self.dry_run,
                    changes: &applied.lines,
                    tenants: tenants.collect(),
                };
                say!("{}", serde_json::to_string_pretty(&report)?);
            }
            Format::Table => {
                for line in applied.lines.iter().filter(|line| line.action != Action::Unchanged) {
                    let fields = if line.fields.is_empty() {
                        String::new()
                    } else {
                        format!(" ({})", line.fields.join(", "))
                    };
                    say!("{:9} {} {}{fields}", line.action.as_str(), line.kind, line.name);
                }
                let unchanged = applied.lines.iter().filter(|line| line.action == Action::Unchanged).count();
                say!(
                    "{unchanged} unchanged{}",
                    if self.dry_run { "; nothing was written (--dry-run)" } else { "" }
                );
                for tenant in tenants {
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
