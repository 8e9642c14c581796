//! The act in which GitHub posts by itself: its own headers and signature, and nothing of ours.

use std::{fmt::Write as _, time::Instant};

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Payload, Story, Version};

/// A delivery as GitHub numbers it.
const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

/// `X-Hub-Signature-256`, as GitHub's documentation has it made:
/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key may have any length");
    mac.update(body.as_bytes());
    let mut text = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").expect("a text grows");
    }
    text
}

impl Story<'_> {
    pub(super) async fn straight_from_github(&mut self, payload: &Payload, version: &Version) -> anyhow::Result<()> {
        const NAME: &str = "straight from GitHub";
        self.page.act("A webhook straight from GitHub, with no header of ours");
        let url = self.yard.webhook_url();
        let post = |event: &str, body: &'static str, signed: &str| {
            self.yard
                .bare_post(&url, body)
                .header("user-agent", "GitHub-Hookshot/044aadd")
                .header("accept", "*/*")
                .header("x-github-hook-id", "292430182")
                .header("x-github-event", event)
                .header("x-github-delivery", DELIVERY)
                .header("x-hub-signature-256", &signature(self.yard.github_secret(), signed))
        };
        const PING: &str = r#"{"zen":"Keep it logically awesome.","hook_id":292430182}"#;
        let ping = post("ping", PING, PING).try_send().await.context("the server does not answer")?;
        let posted = Instant::now();
        let answer = post(payload.event(), payload.body, payload.body)
            .try_send()
            .await
            .context("the server does not answer")?;
        let changed = payload.body.replacen('{', "[", 1);
        let forged = post(payload.event(), payload.body, &changed)
            .try_send()
            .await
            .context("the server does not answer")?;
        self.checks.same(format!("{NAME}: its ping is answered"), 200, ping.status);
        self.checks
            .same(format!("{NAME}: a body that is not the signed one"), 401, forged.status);
        self.page.event(payload.name, "signed by GitHub's secret, posted to the bare URL");
        self.page.fact("ping", &format!("{}, and no event of it", ping.status));
        self.page.fact("forged", &format!("{}, and no event of it", forged.status));
        self.follow(payload, NAME, version, &answer, posted).await.map(drop)
    }
}
