//! `hookyard users`: who may log in. For tenants of a set-up file, and for servers where nobody registers by themselves.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{Common, Failure, Format, Needs, api::Api, list::print_json, table};
use crate::{
    documents::{List, UserDocument},
    store::SecretText,
};

/// Far above any password.
const PASSWORD_FILE_BYTES_MAX: u64 = 4 * 1_024;

#[derive(Debug, Args)]
pub(super) struct Users {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the users of a tenant
    List {
        #[arg(long, value_name = "NAME")]
        tenant: String,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Makes a user
    Create {
        #[arg(long, value_name = "NAME")]
        tenant: String,
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        #[arg(long, value_enum, default_value_t = RoleWord::Developer)]
        role: RoleWord,
        #[command(flatten)]
        password: Password,
    },
    /// Gives a user another password, and ends all their log-ins
    Password {
        #[arg(long, value_name = "NAME")]
        tenant: String,
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        #[command(flatten)]
        password: Password,
    },
    /// Removes a user for good
    Remove {
        #[arg(long, value_name = "NAME")]
        tenant: String,
        #[arg(long, value_name = "ADDRESS")]
        email: String,
    },
}

#[derive(Debug, Args)]
struct Password {
    /// File that holds the password; "-" is standard input. A line break at its end does not count
    #[arg(long, value_name = "PATH")]
    password_file: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleWord {
    Viewer,
    Developer,
    Admin,
    Owner,
}

impl RoleWord {
    fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl Users {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let api = common.api(Needs::DatabaseAndKey).await?;
        match self.command {
            Command::List { tenant, format } => print(&users(&api, &tenant, &[]).await?, format),
            Command::Create {
                tenant,
                email,
                role,
                password,
            } => {
                let new = json!({ "tenant": tenant, "email": email, "role": role.as_str(), "password": password.read()?.expose() });
                let user: Result<UserDocument, _> = api.post("/api/v1/users", &new).await;
                let user = user.map_err(|failure| absent(failure, &tenant))?;
                say!("user {} of {tenant} made", user.email);
                Ok(())
            }
            Command::Password { tenant, email, password } => {
                let user = user_with(&api, &tenant, &email).await?;
                let change = json!({ "password": password.read()?.expose() });
                let user: UserDocument = api.patch(&format!("/api/v1/users/{}", user.id), &change).await?;
                say!("{} has another password", user.email);
                Ok(())
            }
            Command::Remove { tenant, email } => {
                let user = user_with(&api, &tenant, &email).await?;
                api.delete(&format!("/api/v1/users/{}", user.id)).await?;
                say!("user {} of {tenant} removed", user.email);
                Ok(())
            }
        }
    }
}

fn absent(failure: Failure, tenant: &str) -> Failure {
    match failure {
        Failure::NotFound(_) => Failure::NotFound(format!("there is no tenant {tenant}")),
        failure => failure,
    }
}

/// The users of a tenant, page after page.
async fn users(api: &Api, tenant: &str, filter: &[(&str, &str)]) -> Result<Vec<UserDocument>, Failure> {
    let mut users = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut query = vec![("tenant", tenant), ("limit", "1000")];
        query.extend_from_slice(filter);
        query.extend(before.as_deref().map(|before| ("before", before)));
        let page: Result<List<UserDocument>, _> = api.get("/api/v1/users", &query).await;
        let page = page.map_err(|failure| absent(failure, tenant))?;
        users.extend(page.items);
        match page.next {
            Some(next) => before = Some(next),
            None => return Ok(users),
        }
    }
}

async fn user_with(api: &Api, tenant: &str, email: &str) -> Result<UserDocument, Failure> {
    let found = users(api, tenant, &[("email", email)]).await?.pop();
    found.ok_or_else(|| Failure::NotFound(format!("{tenant} has no user {email}")))
}

impl Password {
    fn read(&self) -> Result<SecretText, Failure> {
        let mut text = String::new();
        let read = if self.password_file == Path::new("-") {
            std::io::stdin().take(PASSWORD_FILE_BYTES_MAX).read_to_string(&mut text)
        } else {
            std::fs::File::open(&self.password_file).and_then(|file| file.take(PASSWORD_FILE_BYTES_MAX).read_to_string(&mut text))
        };
        read.map_err(|error| Failure::Usage(format!("cannot read {}: {error}", self.password_file.display())))?;
        Ok(SecretText::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

fn print(users: &[UserDocument], format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => print_json(&users),
        Format::Table => {
            let rows: Vec<Vec<String>> = users
                .iter()
                .map(|user| vec![user.email.clone(), user.role.clone(), user.status.clone(), user.created_at.clone()])
                .collect();
            table::print(&["EMAIL", "ROLE", "STATUS", "MADE"], &rows);
            Ok(())
        }
    }
}
