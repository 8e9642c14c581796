//! `/api/v1/environments`.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method},
    response::Response,
};
use hookyard_domain::{EnvironmentId, Scope};
use serde::Deserialize;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Type},
};

use super::{
    Desk,
    answers::{self, Refused},
    caller::{Id, Reader, Writer, given},
    openapi::{self, Op, tag::ENVIRONMENTS},
    params::{Params, page_of},
};
use crate::{
    configuration::Environment,
    documents::{EnvironmentDocument, schemas},
    http::openapi::Routes,
    manage::{NewEnvironment, Refusal},
};

pub fn routes() -> Routes<Arc<Desk>> {
    Routes::new()
        .on(
            &Method::GET,
            "/api/v1/environments",
            list,
            Op::read("listEnvironments", ENVIRONMENTS, "Lists a tenant's environments")
                .of_one_tenant()
                .pages::<EnvironmentDocument>()
                .into(),
        )
        .on(
            &Method::POST,
            "/api/v1/environments",
            create,
            Op::read("createEnvironment", ENVIRONMENTS, "Makes an environment")
                .write()
                .names_tenant()
                .takes::<New>("Its slug, and what it is called.")
                .makes::<EnvironmentDocument>("it was made")
                .conflicts("the slug is taken")
                .into(),
        )
        .on(
            &Method::GET,
            "/api/v1/environments/{id}",
            show,
            Op::read("showEnvironment", ENVIRONMENTS, "Shows an environment")
                .of_one("environment")
                .shows_with_tag::<EnvironmentDocument>("the environment")
                .into(),
        )
        .on(
            &Method::PATCH,
            "/api/v1/environments/{id}",
            change,
            Op::read("changeEnvironment", ENVIRONMENTS, "Renames an environment, or makes it the default")
                .write()
                .of_one("environment")
                .takes::<Wanted>("A name, or `default`: not both.")
                .if_match()
                .shows_with_tag::<EnvironmentDocument>("the environment as it is now")
                .into(),
        )
        .on(
            &Method::DELETE,
            "/api/v1/environments/{id}",
            remove,
            Op::read("deleteEnvironment", ENVIRONMENTS, "Deletes an environment")
                .write()
                .of_one("environment")
                .if_match()
                .conflicts("it is the default, or something is in it")
                .ends("it is gone")
                .into(),
        )
}

async fn list(State(desk): State<Arc<Desk>>, reader: Reader, params: Params) -> Result<Response, Refused> {
    params.only(&["tenant", "before", "limit"])?;
    let tenant = desk.tenant(reader.scope, params.get("tenant")).await?;
    let mut environments = desk.manage.environments(reader.scope, tenant).await?;
    environments.sort_unstable_by_key(|environment| std::cmp::Reverse(environment.id));
    let page = page_of(
        environments,
        &params.page()?,
        |environment| environment.id.as_uuid(),
        |environment| EnvironmentDocument::from(&*environment),
    );
    Ok(answers::shown(None, &page))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEnvironment)]
struct New {
    #[schema(schema_with = openapi::tenant_or_none)]
    tenant: Option<String>,
    #[schema(schema_with = schemas::name)]
    slug: String,
    /// None: the slug.
    #[schema(schema_with = openapi::description_or_none)]
    name: Option<String>,
}

async fn create(State(desk): State<Arc<Desk>>, writer: Writer, request: Request) -> Result<Response, Refused> {
    let new: New = desk.document(request).await?;
    let new = NewEnvironment {
        tenant: desk.tenant(writer.scope, new.tenant.as_deref()).await?,
        slug: new.slug,
        name: new.name,
    };
    let made = desk.manage.create_environment(writer.scope, new).await?;
    let location = format!("/api/v1/environments/{}", made.id);
    Ok(answers::created(&location, made.revision, &EnvironmentDocument::from(&*made)))
}

async fn find(desk: &Desk, scope: Scope, id: EnvironmentId) -> Result<Arc<Environment>, Refused> {
    desk.configuration.refresh(&desk.store).await?;
    let snapshot = desk.configuration.current();
    let found = snapshot.environments.get(&id).filter(|environment| scope.holds(environment.tenant));
    Ok(found.cloned().ok_or(Refusal::NotFound { what: "environment" })?)
}

async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Id(id): Id) -> Result<Response, Refused> {
    let found = find(&desk, reader.scope, EnvironmentId::from_uuid(id)).await?;
    Ok(answers::shown(Some(found.revision), &EnvironmentDocument::from(&*found)))
}

fn only_true() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true]))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EnvironmentChange)]
struct Wanted {
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = openapi::description)]
    name: Option<String>,
    /// True makes it the tenant's default in place of the one that was.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = only_true)]
    default: Option<bool>,
}

async fn change(
    State(desk): State<Arc<Desk>>,
    writer: Writer,
    Id(id): Id,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refused> {
    let wanted: Wanted = desk.document(request).await?;
    let id = EnvironmentId::from_uuid(id);
    let manage = desk.manage_if_match(&headers)?;
    let changed = match (wanted.name, wanted.default) {
        (_, Some(false)) => {
            return Err(Refused::wrong(
                "default",
                "cannot be taken away: make another environment the default",
            ));
        }
        (Some(_), Some(true)) => return Err(Refused::wrong("default", "cannot be changed together with the name")),
        (Some(name), None) => manage.rename_environment(writer.scope, id, &name).await?,
        (None, Some(true)) => manage.make_default_environment(writer.scope, id).await?,
        (None, None) => {
            let found = find(&desk, writer.scope, id).await?;
            manage.rename_environment(writer.scope, id, &found.name).await?
        }
    };
    Ok(answers::shown(Some(changed.revision), &EnvironmentDocument::from(&*changed)))
}

async fn remove(State(desk): State<Arc<Desk>>, writer: Writer, Id(id): Id, headers: HeaderMap) -> Result<Response, Refused> {
    let manage = desk.manage_if_match(&headers)?;
    manage.delete_environment(writer.scope, EnvironmentId::from_uuid(id)).await?;
    Ok(answers::done())
}
