//! `/api/v1/setup`: a whole set-up at once.
//!
//! The set-up file names its secrets by environment variables and files of whoever wrote it, so the request brings their
//! values beside the text.

use std::{path::Path, sync::Arc};

use axum::{
    extract::{Request, State},
    http::Method,
    response::Response,
};
use serde_json::{Map, Value};

use super::{
    Desk,
    answers::{self, Refused},
    caller::Writer,
    openapi::{Op, tag::SETUP},
};
use crate::{
    documents::{AppliedDocument, ChangeDocument, NamedDocument, SetupDocument},
    http::openapi::Routes,
    manage::{
        Refusal,
        setup::{
            Applied, Mode,
            file::{Secrets, read},
        },
    },
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new().on(
        &Method::POST,
        "/api/v1/setup",
        apply,
        Op::read("applySetup", SETUP, "Carries out a set-up file, or says what it would change")
            .operator()
            .takes_setup::<SetupDocument>("The file, and the secrets that it names.")
            .conflicts("a name is taken, something is still needed, or somebody changed it at the same moment")
            .shows::<AppliedDocument>("what became of each thing")
            .into(),
    )
}

/// The values that came with the text.
struct Brought<'a> {
    variables: &'a Map<String, Value>,
    files: &'a Map<String, Value>,
}

impl Secrets for Brought<'_> {
    fn variable(&self, name: &str) -> Result<String, String> {
        let value = self.variables.get(name).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .ok_or_else(|| format!("environment variable {name} is not set"))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        let value = self.files.get(&*path.to_string_lossy()).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .ok_or_else(|| format!("the file {} was not sent along", path.display()))
    }
}

async fn apply(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    writer.operator()?;
    let wanted: SetupDocument = desk.set_up(request).await?;
    let brought = Brought {
        variables: &wanted.variables,
        files: &wanted.files,
    };
    let setup = read(&wanted.text, &brought).map_err(Refusal::Invalid)?;
    let mode = if wanted.dry_run { Mode::DryRun } else { Mode::Write };
    let applied = desk.manage.apply(writer.scope, &setup, mode).await?;
    for (tenant, endpoint) in &applied.deleted {
        let deliveries = desk.deliveries.as_deref();
        desk.manage.purge_endpoint(writer.scope, *tenant, *endpoint, deliveries).await?;
    }
    Ok(answers::shown(None, &document(applied, wanted.dry_run)))
}

fn document(applied: Applied, dry_run: bool) -> AppliedDocument {
    let changes = applied.lines.into_iter().map(|line| ChangeDocument {
        action: line.action.as_str().to_owned(),
        kind: line.kind.to_owned(),
        name: line.name,
        fields: line.fields.into_iter().map(str::to_owned).collect(),
        id: line.id.map(|id| id.to_string()),
    });
    let tenants = applied
        .tenants
        .into_iter()
        .map(|(name, id)| NamedDocument { name, id: id.to_string() });
    AppliedDocument {
        dry_run,
        changes: changes.collect(),
        tenants: tenants.collect(),
        notes: applied.notes,
    }
}
