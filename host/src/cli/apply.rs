//! `hookyard apply`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::{Common, Failure, Format};
use crate::{
    app,
    manage::{
        plan::{Action, Line, Plan, plan},
        setup::{Setup, SystemSecrets, read},
    },
    plugins::check_config,
    store::{Rows, Store},
    wasm::{Engine, Settings},
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
        let rows = store.configuration_since(0).await?;
        let plan = plan(&setup, &rows, app::now())
            .map_err(|problems| Failure::Usage(format!("{} is not applied:\n{problems}", self.file.display())))?;
        check_plugin_configs(&store, &setup, &rows).await?;
        if !self.dry_run && !plan.changes.is_empty() {
            store.claim_key().await?;
            store.configure(&plan.changes, app::now()).await?;
        }
        self.print(&plan)
    }

    fn print(&self, plan: &Plan) -> Result<(), Failure> {
        // A tenant that was only planned has no id that would stay.
        let made = |name: &str| {
            let new = |line: &&Line| line.kind == "tenant" && line.name == name && line.action == Action::Create;
            !self.dry_run || plan.lines.iter().find(new).is_none()
        };
        let known = plan.tenants.iter().filter(|(name, _)| made(name));
        let tenants = known.map(|(name, id)| TenantLine { name, id: id.to_string() });
        match self.format {
            Format::Json => {
                let report = Report {
                    dry_run: self.dry_run,
                    changes: &plan.lines,
                    tenants: tenants.collect(),
                };
                say!("{}", serde_json::to_string_pretty(&report)?);
            }
            Format::Table => {
                for line in plan.lines.iter().filter(|line| line.action != Action::Unchanged) {
                    let fields = if line.fields.is_empty() {
                        String::new()
                    } else {
                        format!(" ({})", line.fields.join(", "))
                    };
                    say!("{:9} {} {}{fields}", line.action.as_str(), line.kind, line.name);
                }
                let unchanged = plan.lines.iter().filter(|line| line.action == Action::Unchanged).count();
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

/// A file that is no text is as wrong as one that is no TOML; any other failure is not the file's.
fn unreadable(file: &Path, error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::InvalidData => Failure::Usage(format!("{} is not applied: it is not UTF-8", file.display())),
        std::io::ErrorKind::FileTooLarge => Failure::Usage(format!("{} is not applied: it is larger than 4 MiB", file.display())),
        _ => Failure::Failed(anyhow::Error::new(error).context(format!("cannot read {}", file.display()))),
    }
}

/// Asks the active version of each plugin about the configurations the file gives it. A plugin without an active
/// version is asked when one is activated.
async fn check_plugin_configs(store: &Store, setup: &Setup, rows: &Rows) -> Result<(), Failure> {
    let plugins = store.plugins().await?;
    let mut engine = None;
    let mut problems = Vec::new();
    for tenant in &setup.tenants {
        let tenant_id = rows.tenants.rows.iter().find(|row| row.name == tenant.name).map(|row| row.id);
        for sender in &tenant.senders {
            let Some(plugin) = &sender.plugin else { continue };
            let row = plugins.iter().find(|row| Some(row.tenant) == tenant_id && row.name == *plugin);
            let Some(version) = row.and_then(|row| row.active) else {
                // Not wrong: the plugin may be put in place afterwards.
                eprintln!(
                    "hookyard: note: tenant \"{}\", sender \"{}\": no version of plugin \"{plugin}\" is active; until one is, its events go by on_failure",
                    tenant.name, sender.name
                );
                continue;
            };
            let Some(wasm) = store.module(version).await? else { continue };
            if engine.is_none() {
                engine = Some(Engine::new(&Settings::default()).context("cannot start the plugin engine")?);
            }
            let Some(engine) = &engine else { continue };
            let module = engine
                .compile(&wasm)
                .map_err(|refusal| anyhow::anyhow!("cannot load the active plugin: {refusal}"))?;
            if let Err(problem) = check_config(&module, &sender.config) {
                problems.push(format!("tenant \"{}\", sender \"{}\", config: {problem}", tenant.name, sender.name));
            }
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::Usage(format!("nothing is applied:\n{}", problems.join("\n"))))
    }
}
