//! Whether the server lives, and whether it can do its work.

use super::*;

on_both_databases!(a_server_that_cannot_read_its_configuration_is_alive_and_not_ready,);

async fn a_server_that_cannot_read_its_configuration_is_alive_and_not_ready(kind: Kind) {
    let host = TestHost::builder(kind).start().await;
    let client = host.client();
    assert_eq!(client.get("/health/ready").await.status, 200);
    host.database().execute("ALTER TABLE configuration RENAME TO elsewhere").await;
    let answer = client.get("/health/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["detail"], "the configuration cannot be read");
    assert_eq!(client.get("/health/live").await.status, 200);
    host.database().execute("ALTER TABLE elsewhere RENAME TO configuration").await;
    assert_eq!(client.get("/health/ready").await.status, 200);
}
