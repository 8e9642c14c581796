//! `hookyard users`: who may log in. For tenants of a set-up file, and for servers where nobody registers by themselves.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use hookyard_domain::{Scope, TenantId};
use serde_json::{Value, json};

use super::{Common, Failure, Format, list::print_json, manage, refused, table};
use crate::{
    manage::{Manage, NewUser, Role, User, UserChange},
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
    fn role(self) -> Role {
        match self {
            Self::Viewer => Role::Viewer,
            Self::Developer => Role::Developer,
            Self::Admin => Role::Admin,
            Self::Owner => Role::Owner,
        }
    }
}

impl Users {
    pub(super) async fn run(self, common: &Common) -> Result<(), Failure> {
        let manage = manage(common.existing_store_with_key().await?);
        match self.command {
            Command::List { tenant, format } => {
                let tenant = tenant_named(&manage, &tenant).await?;
                let users = manage.users(Scope::Operator, tenant).await.map_err(refused)?;
                print(&users, format)
            }
            Command::Create {
                tenant,
                email,
                role,
                password,
            } => {
                let new = NewUser {
                    tenant: tenant_named(&manage, &tenant).await?,
                    email,
                    password: password.read()?,
                    role: role.role(),
                };
                let user = manage.create_user(Scope::Operator, new).await.map_err(refused)?;
                say!("user {} of {tenant} made", user.email);
                Ok(())
            }
            Command::Password { tenant, email, password } => {
                let user = user_with(&manage, &tenant, &email).await?;
                let change = UserChange {
                    password: Some(password.read()?),
                    ..UserChange::default()
                };
                manage.update_user(Scope::Operator, user.id, &change).await.map_err(refused)?;
                say!("{} has another password", user.email);
                Ok(())
            }
            Command::Remove { tenant, email } => {
                let user = user_with(&manage, &tenant, &email).await?;
                manage.delete_user(Scope::Operator, user.id).await.map_err(refused)?;
                say!("user {} of {tenant} removed", user.email);
                Ok(())
            }
        }
    }
}

async fn tenant_named(manage: &Manage, name: &str) -> Result<TenantId, Failure> {
    let tenants = manage.tenants(Scope::Operator).await.map_err(refused)?;
    let tenant = tenants.iter().find(|tenant| tenant.name == name);
    tenant
        .map(|tenant| tenant.id)
        .ok_or_else(|| Failure::NotFound(format!("there is no tenant {name}")))
}

async fn user_with(manage: &Manage, tenant: &str, email: &str) -> Result<User, Failure> {
    let id = tenant_named(manage, tenant).await?;
    let users = manage.users(Scope::Operator, id).await.map_err(refused)?;
    let wanted = email.trim().to_lowercase();
    users
        .into_iter()
        .find(|user| user.email == wanted)
        .ok_or_else(|| Failure::NotFound(format!("{tenant} has no user {email}")))
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

fn print(users: &[User], format: Format) -> Result<(), Failure> {
    let status = |user: &User| if user.active { "active" } else { "inactive" };
    match format {
        Format::Json => {
            let users: Vec<Value> = users
                .iter()
                .map(|user| {
                    json!({
                        "id": user.id.to_string(),
                        "email": user.email,
                        "role": user.role.as_str(),
                        "status": status(user),
                        "created_at": user.created_at.to_string(),
                    })
                })
                .collect();
            print_json(&users.into())
        }
        Format::Table => {
            let rows: Vec<Vec<String>> = users
                .iter()
                .map(|user| {
                    vec![
                        user.email.clone(),
                        user.role.as_str().to_owned(),
                        status(user).to_owned(),
                        user.created_at.to_string(),
                    ]
                })
                .collect();
            table::print(&["EMAIL", "ROLE", "STATUS", "MADE"], &rows);
            Ok(())
        }
    }
}
