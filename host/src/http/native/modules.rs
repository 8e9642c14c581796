//! `/api/v1/modules/refused`: contents of plugins that are refused, whoever brings them, and having one tried again.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::Method,
    response::Response,
};
use hookyard_domain::ContentHash;

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Reader, Writer},
    openapi::{Op, tag::MODULES},
    params::Params,
};
use crate::{
    documents::{RefusedModuleDocument, RefusedModulesDocument},
    http::openapi::Routes,
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/modules/refused",
            list,
            Op::read(
                "listRefusedModules",
                MODULES,
                "Lists the contents that are refused, newest first, up to 1,000",
            )
            .operators()
            .shows::<RefusedModulesDocument>("the contents, and why")
            .into(),
        )
        .on(
            &Method::DELETE,
            "/api/v1/modules/refused/{hash}",
            retry,
            Op::read("retryModule", MODULES, "Has a refused content tried again")
                .operator()
                .of_hash("module")
                .ends("it is tried again")
                .into(),
        )
}

async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&[])?;
    reader.operator()?;
    let refused = desk.manage.refused_modules().await?;
    let items = refused.iter().map(RefusedModuleDocument::from).collect();
    Ok(answers::shown(None, &RefusedModulesDocument { items }))
}

async fn retry(State(desk): State<Arc<Desk>>, writer: Writer, Path(hash): Path<String>, params: Params) -> Result<Response, Refused> {
    params.only(&[])?;
    writer.operator()?;
    let hash: ContentHash = hash.parse().map_err(|_| Refused::Absent("refused module"))?;
    desk.manage.retry_module(hash).await?;
    Ok(answers::done())
}
