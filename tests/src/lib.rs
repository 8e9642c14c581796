//! What the suites, the demonstration and the benchmark share: real parts, started and stopped in one process.
//!
//! There is no mock here. [`database`] makes fresh databases, [`setup`] configures them, [`host`] runs the server inside
//! the test and [`server`] runs its binary beside it; [`client`] posts, [`receiver`] is what deliveries reach, [`proxy`]
//! cuts the wire to PostgreSQL, [`python`] brings programs of its registry, [`namespace`] gives a test a network and mounts of its own. [`routing`] runs senders of a guest and finds what became of their events; [`demo`] shows
//! all of it to people. [`wait`] is how a test waits: for a condition, never for a length of time.

pub mod bench;
pub mod bombs;
pub mod client;
pub mod database;
pub mod demo;
pub mod guests;
pub mod host;
pub mod namespace;
pub mod openapi;
pub mod proxy;
pub mod python;
pub mod receiver;
pub mod routing;
pub mod server;
pub mod setup;
pub mod wait;

/// Makes one test per name and database out of `async fn name(kind: Kind)`, so that cargo lists `sqlite::name` and
/// `postgres::name`. Each ends within [`wait::TEST_MAX`].
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    $crate::wait::bounded(super::$name($crate::database::Kind::Sqlite)).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    $crate::wait::bounded(super::$name($crate::database::Kind::Postgres)).await;
                }
            )+
        }
    };
}
