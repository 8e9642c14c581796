//! Every SQL statement of the server, one constant each, by topic.
//!
//! A statement is one text for SQLite and PostgreSQL wherever the two agree. Where a batch reaches PostgreSQL as
//! arrays in one round trip and SQLite as prepared single rows, the two are side by side with the reason. [`all`]
//! lists them so that a test can prepare each on the databases it is meant for.

mod accept;
mod claim;
mod configuration;
mod lease;
mod module;
mod people;
mod plugin;
mod read;
mod route;
mod search;
mod settle;
mod vitals;

pub(crate) use self::{
    accept::*, claim::*, configuration::*, lease::*, module::*, people::*, plugin::*, read::*, route::*, search::*, settle::*, vitals::*,
};

/// Databases a statement is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Both,
    Sqlite,
    Postgres,
}

/// A statement with its name and the databases it must prepare on.
pub type Statement = (&'static str, On, &'static str);

/// Declares the statements of one topic and lists them.
macro_rules! statements {
    ($( $(#[$doc:meta])* $on:ident $name:ident = $sql:expr; )*) => {
        $( $(#[$doc])* pub(crate) const $name: &str = $sql; )*

        pub(super) const LISTED: &[super::Statement] = &[ $( (stringify!($name), super::On::$on, $name), )* ];
    };
}
use statements;

/// Every statement there is.
#[expect(
    unused_qualifications,
    reason = "each topic has a list of that name, and the globs above bring all of them"
)]
pub fn all() -> impl Iterator<Item = Statement> {
    [
        accept::LISTED,
        claim::LISTED,
        configuration::LISTED,
        lease::LISTED,
        module::LISTED,
        people::LISTED,
        plugin::LISTED,
        read::LISTED,
        route::LISTED,
        search::LISTED,
        settle::LISTED,
        vitals::LISTED,
    ]
    .into_iter()
    .flatten()
    .copied()
}
