//! What the server tells about itself over HTTP: its metrics, each moved by a scenario, and its health.

mod health;
mod metrics;
mod parsed;

use hookyard_tests::{
    client::Client,
    database::Kind,
    host::TestHost,
    on_both_databases,
    receiver::{Receiver, Reply},
    routing,
    setup::{Endpoint, Sender, SetupFile, Tenant, endpoint_token, sender_token},
    wait::until,
};
