//! The story, act by act: what is done, what is shown of it, and what is compared with what should be.

use std::{fs, time::Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    Options, Verdict,
    checks::Checks,
    edit,
    page::{Page, Tone, as_slack_shows_it},
    payloads::{self, ENDPOINTS, Fate, PAYLOADS, Payload},
    sinks::{Sinks, Verifier},
    yard::{PLUGIN, SENDER, Yard},
};
use crate::client::Answer;

mod github;

/// Characters of a version's hash that are shown.
const HASH_CHARS: usize = 12;
/// Characters of a Slack message that are shown.
const MESSAGE_CHARS: usize = 110;
/// How often deliveries of events that somebody else posts are asked for.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// One event, for the summary.
struct Told {
    name: String,
    outcome: String,
    version: String,
    cpu: String,
    delivered_in: String,
    good: bool,
}

/// A version as the server logged its activation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    hash: String,
    generation: u64,
}

pub(super) struct Story<'a> {
    page: &'a Page,
    yard: &'a mut Yard,
    options: &'a Options,
    checks: Checks,
    told: Vec<Told>,
    sinks: Option<Sinks>,
    finished: bool,
}

impl<'a> Story<'a> {
    pub(super) fn new(page: &'a Page, yard: &'a mut Yard, options: &'a Options) -> Self {
        Self {
            page,
            yard,
            options,
            checks: Checks::default(),
            told: Vec::new(),
            sinks: None,
            finished: false,
        }
    }

    /// What Ctrl-C means: the end when the whole story is told, an interruption before.
    pub(super) fn verdict_when_stopped(&self) -> Verdict {
        if self.finished { self.verdict() } else { Verdict::Interrupted }
    }

    fn verdict(&self) -> Verdict {
        if self.checks.failed() == 0 {
            Verdict::AllAsItShouldBe
        } else {
            Verdict::SomethingWasNot
        }
    }

    /// # Errors
    /// Something failed that the rest of the story needs.
    pub(super) async fn tell(&mut self) -> anyhow::Result<Verdict> {
        let began = Instant::now();
        let urls = self.open().await?;
        let first = self.first_version().await?;
        self.page.act("Real GitHub payloads, through the plugin");
        for payload in &PAYLOADS {
            self.event(payload, payload.name, &first).await?;
        }
        self.repeat(&payloads::PUSH).await?;
        self.straight_from_github(&payloads::PUSH, &first).await?;
        self.direct().await?;
        let second = self.hot_reload(&first).await?;
        self.broken_module(&second).await?;
        self.broken_configuration(&urls, &second).await?;
        self.summary(began);
        self.finished = true;
        Ok(self.verdict())
    }

    async fn open(&mut self) -> anyhow::Result<Vec<(&'static str, String)>> {
        self.page.act("A server, a set-up, receivers");
        let base = self.yard.start().await?;
        self.page.fact("server", &format!("{base}, embedded SQLite in a fresh folder"));
        let names = ENDPOINTS.iter().map(|endpoint| endpoint.name).chain([payloads::LEDGER]);
        let sinks = Sinks::start(names).await;
        let urls: Vec<_> = sinks.urls().collect();
        for (name, url) in &urls {
            let wish = match ENDPOINTS.iter().find(|endpoint| endpoint.name == *name) {
                Some(endpoint) => endpoint
                    .metadata
                    .iter()
                    .map(|(key, value)| format!("{key} = {value}"))
                    .collect::<Vec<_>>()
                    .join("; "),
                None => "no sender's: it has a token of its own".to_owned(),
            };
            self.page.fact("receiver", &format!("{name:<10}{url:<30}{wish}"));
        }
        self.sinks = Some(sinks);
        let changes = self.yard.apply(&urls).await?;
        for change in &changes {
            self.page.fact("applied", change);
        }
        let created = changes.iter().filter(|change| change.starts_with("create ")).count();
        // Tenant, key, environment, sender and the endpoints.
        self.checks.holds(
            "the set-up creates the tenant, its key, its sender and every endpoint",
            format!("at least {} creations", urls.len() + 3),
            created >= urls.len() + 3,
            format!("{created} of {} changes", changes.len()),
        );
        Ok(urls)
    }

    async fn first_version(&mut self) -> anyhow::Result<Version> {
        self.page.act("The plugin, dropped into the watched folder");
        let component = fs::read(&self.options.plugin).with_context(|| format!("cannot read {}", self.options.plugin.display()))?;
        let mark = self.yard.log_mark();
        let put = Instant::now();
        self.yard.put_plugin(&component)?;
        let version = self.activated(mark).await?;
        self.page.fact("file", &format!("acme/{PLUGIN}.wasm, {} bytes", component.len()));
        self.show_activation(&version, put);
        self.checks.same("the first version is generation 1", 1, version.generation);
        Ok(version)
    }

    async fn activated(&self, mark: usize) -> anyhow::Result<Version> {
        let line = self.yard.logged("plugin version activated", mark).await?;
        Ok(Version {
            hash: line["version"].as_str().unwrap_or_default().to_owned(),
            generation: line["generation"].as_u64().unwrap_or_default(),
        })
    }

    fn show_activation(&self, version: &Version, put: Instant) {
        let text = format!(
            "{} as generation {}, checked, tried and activated {:.2} s after the file was in place",
            short(&version.hash),
            version.generation,
            put.elapsed().as_secs_f64()
        );
        self.page.toned_fact(Tone::Good, "activated", &text);
    }

    /// Posts a payload as GitHub would, shows what became of it, and compares it with what should.
    async fn event(&mut self, payload: &Payload, name: &str, version: &Version) -> anyhow::Result<Value> {
        self.page
            .event(payload.name, &format!("{}, {} bytes", payload.repository(), payload.body.len()));
        let posted = Instant::now();
        let answer = self
            .yard
            .post(&self.yard.sender_url(), payload.body)
            .header("x-github-event", payload.event())
            .header("x-github-delivery", name)
            .key(name)
            .try_send()
            .await
            .context("the server does not answer")?;
        self.follow(payload, name, version, &answer, posted).await
    }

    /// What becomes of an event that was answered so.
    async fn follow(
        &mut self,
        payload: &Payload,
        name: &str,
        version: &Version,
        answer: &Answer,
        posted: Instant,
    ) -> anyhow::Result<Value> {
        self.checks.same(format!("{name}: accepted"), 202, answer.status);
        let id = answer.json()["eventId"].as_str().unwrap_or_default().to_owned();
        self.page.fact(
            "accepted",
            &format!("{} in {:.1} ms as event {id}", answer.status, posted.elapsed().as_secs_f64() * 1e3),
        );
        let document = self.yard.settled(&id).await?;
        let before = self.checks.failed();
        let decision = &document["decision"];
        self.show_plugin(name, &decision["plugin"], version);
        let delivered_in = match payload.fate {
            Fate::Dropped(code) => {
                self.show_drop(name, code, decision);
                String::new()
            }
            Fate::To(expected) => {
                self.show_choice(name, expected, decision);
                self.show_deliveries(name, payload.body, &id, &document, posted)?
            }
        };
        self.told.push(Told {
            name: name.to_owned(),
            outcome: outcome(decision),
            version: short(text(&decision["plugin"]["version"])).to_owned(),
            cpu: format!("{} µs", decision["plugin"]["cpu_us"]),
            delivered_in,
            good: self.checks.failed() == before,
        });
        Ok(document)
    }

    fn show_plugin(&mut self, name: &str, run: &Value, version: &Version) {
        self.checks.holds(
            format!("{name}: decided by {PLUGIN}, generation {}", version.generation),
            format!("{} {}", PLUGIN, short(&version.hash)),
            run["name"] == PLUGIN && text(&run["version"]).starts_with(&version.hash) && run["generation"] == version.generation,
            run,
        );
        let millis = |field: &Value| field.as_f64().unwrap_or_default() / 1e3;
        self.page.fact(
            "plugin",
            &format!(
                "{} {}, generation {}: {:.2} ms of processor, {:.2} ms in all, {} KiB",
                text(&run["name"]),
                short(text(&run["version"])),
                run["generation"],
                millis(&run["cpu_us"]),
                millis(&run["wall_us"]),
                run["memory_bytes"].as_u64().unwrap_or_default() / 1_024
            ),
        );
    }

    fn show_drop(&mut self, name: &str, code: &str, decision: &Value) {
        let drop = &decision["drop"];
        let told = format!("{}: {}", text(&drop["code"]), text(&drop["message"]));
        self.page.toned_fact(Tone::Refused, "dropped", &told);
        self.checks
            .same(format!("{name}: dropped with a reason"), code, text(&drop["code"]));
    }

    fn show_choice(&mut self, name: &str, expected: &[&str], decision: &Value) {
        let chosen = list(&decision["chosen"]);
        for one in chosen {
            let what = if one["payload"] == "original" {
                "gets the bytes as received"
            } else {
                "gets a Slack message"
            };
            self.page.fact("chosen", &format!("{:<10}{what}", text(&one["endpoint"])));
        }
        for one in list(&decision["skipped"]) {
            let line = format!("{:<10}{}", text(&one["endpoint"]), text(&one["reason"]));
            self.page.toned_fact(Tone::Refused, "refused", &line);
        }
        let found = chosen.iter().map(|one| text(&one["endpoint"]));
        self.checks.same(
            format!("{name}: endpoints chosen"),
            in_order(expected.iter().copied()),
            in_order(found),
        );
        let skipped = list(&decision["skipped"]);
        let reasons = skipped.iter().filter(|one| !text(&one["reason"]).is_empty()).count();
        self.checks.same(
            format!("{name}: endpoints refused, each with a reason"),
            ENDPOINTS.len() - expected.len(),
            reasons,
        );
    }

    /// Shows what each receiver got. Returns the time from the post to the last delivery.
    fn show_deliveries(&mut self, name: &str, body: &str, id: &str, document: &Value, posted: Instant) -> anyhow::Result<String> {
        let (sinks, verifier) = self.receivers()?;
        let mut last = 0.0_f64;
        let mut arrivals = Vec::new();
        let mut checks = Vec::new();
        for delivery in list(&document["deliveries"]) {
            let endpoint = text(&delivery["endpoint"]);
            let received = sinks.of_event(endpoint, id);
            let found = format!("{}, {} request(s)", text(&delivery["state"]), received.len());
            checks.push((
                format!("{name}: {endpoint} got it once"),
                "delivered, 1 request(s)".to_owned(),
                found,
            ));
            let Some(received) = received.into_iter().next() else {
                continue;
            };
            let after = received.at.duration_since(posted).as_secs_f64() * 1e3;
            last = last.max(after);
            let signatures = verifier.verify(&received);
            checks.push((
                format!("{name}: {endpoint} verifies both signatures"),
                "Standard Webhooks verified, HookSentry verified".to_owned(),
                signatures.told(),
            ));
            let message = if endpoint == payloads::ARCHIVE {
                let found = if received.body == body { "the same bytes" } else { "other bytes" };
                checks.push((
                    format!("{name}: {endpoint} got what was posted"),
                    "the same bytes".to_owned(),
                    found.to_owned(),
                ));
                None
            } else {
                let message: Value = serde_json::from_slice(&received.body).unwrap_or_default();
                let shown: String = as_slack_shows_it(text(&message["text"])).chars().take(MESSAGE_CHARS).collect();
                let found = if shown.is_empty() { "none" } else { "a message" };
                checks.push((
                    format!("{name}: {endpoint} got a Slack message"),
                    "a message".to_owned(),
                    found.to_owned(),
                ));
                Some(shown)
            };
            let tone = if signatures.good() { Tone::Good } else { Tone::Bad };
            let status = &delivery["attempts_made"][0]["status"];
            let line = format!("{endpoint:<10}{status} after {after:.1} ms; {}", signatures.told());
            arrivals.push((received.at, tone, line, message));
        }
        arrivals.sort_by_key(|(at, ..)| *at);
        for (_, tone, line, message) in arrivals {
            self.page.toned_fact(tone, "delivered", &line);
            if let Some(message) = message {
                self.page.toned_fact(Tone::Faint, "", &format!("{:<10}{message}", ""));
            }
        }
        for (what, expected, found) in checks {
            self.checks.same(what, expected, found);
        }
        Ok(format!("{last:.1} ms"))
    }

    fn receivers(&self) -> anyhow::Result<(&Sinks, Verifier)> {
        let sinks = self.sinks.as_ref().context("the receivers have been started")?;
        Ok((sinks, self.yard.verifier()))
    }

    /// GitHub sends a delivery again when somebody presses "Redeliver": the same key names the same event.
    async fn repeat(&mut self, payload: &Payload) -> anyhow::Result<()> {
        self.page.act("The same delivery again");
        let answer = self
            .yard
            .post(&self.yard.sender_url(), payload.body)
            .header("x-github-event", payload.event())
            .key(payload.name)
            .try_send()
            .await
            .context("the server does not answer")?;
        let body = answer.json();
        let line = format!(
            "{} with the first event's id {}, {}",
            answer.status,
            text(&body["eventId"]),
            text(&body["status"])
        );
        self.page.fact(payload.name, &line);
        self.checks.same(
            "a repeated idempotency key",
            "200 Succeeded",
            format!("{} {}", answer.status, text(&body["status"])),
        );
        let (sinks, _) = self.receivers()?;
        let received = sinks.of_event(payloads::CHAT, text(&body["eventId"])).len();
        self.checks.same("a repeated idempotency key delivers nothing again", 1, received);
        Ok(())
    }

    /// An endpoint's own token: no plugin, the bytes as they are.
    async fn direct(&mut self) -> anyhow::Result<()> {
        self.page.act("An endpoint's own token, byte for byte");
        self.page.event(
            "dst_ token",
            &format!("{} bytes of JSON that no parser would write again", payloads::ODD_BYTES.len()),
        );
        let posted = Instant::now();
        let url = self.yard.ledger_url();
        let answer = self
            .yard
            .post(&url, payloads::ODD_BYTES)
            .try_send()
            .await
            .context("the server does not answer")?;
        self.checks.same("dst_ token: accepted", 202, answer.status);
        let id = answer.json()["eventId"].as_str().unwrap_or_default().to_owned();
        self.page.fact("accepted", &format!("{} as event {id}", answer.status));
        self.yard.settled(&id).await?;
        let (sinks, verifier) = self.receivers()?;
        let received = sinks.of_event(payloads::LEDGER, &id);
        let received = received.first().context("the ledger got nothing")?;
        let signatures = verifier.verify(received);
        let same = received.body == payloads::ODD_BYTES;
        let line = format!(
            "{:<10}after {:.1} ms; {}; body {}",
            payloads::LEDGER,
            received.at.duration_since(posted).as_secs_f64() * 1e3,
            signatures.told(),
            if same { "the same, byte for byte" } else { "CHANGED" }
        );
        let shown = format!("{:?}", String::from_utf8_lossy(&received.body));
        let tone = if same && signatures.good() { Tone::Good } else { Tone::Bad };
        self.page.toned_fact(tone, "delivered", &line);
        self.page.toned_fact(Tone::Faint, "", &format!("{:<10}{shown}", ""));
        self.checks.holds(
            "dst_ token: the body is the same, byte for byte",
            format!("{:?}", payloads::ODD_BYTES),
            same,
            shown,
        );
        self.checks.holds(
            "dst_ token: both signatures verify",
            "verified",
            signatures.good(),
            signatures.told(),
        );
        Ok(())
    }

    async fn hot_reload(&mut self, first: &Version) -> anyhow::Result<Version> {
        self.page.act("The plugin is edited while the server runs");
        for edit in &edit::EDITS {
            self.page.fact("edited", &format!("{:<16}{}", edit.file, edit.told));
        }
        let edited = edit::build().await?;
        let component = fs::read(&edited.component).with_context(|| format!("cannot read {}", edited.component.display()))?;
        self.page.fact(
            "built",
            &format!("by cargo in {:.1} s, {} bytes", edited.took.as_secs_f64(), component.len()),
        );
        let mark = self.yard.log_mark();
        let put = Instant::now();
        self.yard.put_plugin(&component)?;
        let version = self.activated(mark).await?;
        self.show_activation(&version, put);
        self.checks.holds(
            "the edited plugin is another version",
            format!("not {}", first.hash),
            version.hash != first.hash,
            &version.hash,
        );
        self.checks.same("the edited plugin is generation 2", 2, version.generation);
        let star = Payload {
            fate: Fate::Dropped(edit::STAR_DROP),
            ..payloads::STAR
        };
        self.event(&star, "star.created, edited", &version).await?;
        let document = self.event(&payloads::ISSUE, "issues.opened, edited", &version).await?;
        let (sinks, _) = self.receivers()?;
        let received = sinks.of_event(payloads::CHAT, text(&document["id"]));
        let message: Value = received
            .first()
            .and_then(|one| serde_json::from_slice(&one.body).ok())
            .unwrap_or_default();
        let said = text(&message["text"]).to_owned();
        self.checks.holds(
            "the edited plugin writes the edited message",
            edit::MARK,
            said.starts_with(edit::MARK),
            said,
        );
        Ok(version)
    }

    async fn broken_module(&mut self, serving: &Version) -> anyhow::Result<()> {
        self.page.act("A broken module takes the plugin's place on disk");
        let component = fs::read(&self.options.plugin)?;
        let half = &component[..component.len() / 2];
        let mark = self.yard.log_mark();
        self.yard.overwrite_plugin(half)?;
        self.page.fact(
            "file",
            &format!("cut off in the middle: {} of {} bytes", half.len(), component.len()),
        );
        let refusal = self.yard.logged("plugin version refused", mark).await?;
        self.page.toned_fact(
            Tone::Refused,
            "refused",
            &format!("{}: {}", short(text(&refusal["version"])), text(&refusal["reason"])),
        );
        self.page.fact("serving", &format!("{}, as before", text(&refusal["serving"])));
        self.checks.holds(
            "a broken module is refused with a reason",
            "a reason",
            !text(&refusal["reason"]).is_empty(),
            &refusal,
        );
        self.checks.same(
            "the former version serves on",
            short(&serving.hash),
            short(text(&refusal["serving"])),
        );
        self.event(&payloads::PUSH, "push.branch, after the break", serving).await?;
        Ok(())
    }

    async fn broken_configuration(&mut self, urls: &[(&'static str, String)], serving: &Version) -> anyhow::Result<()> {
        self.page.act("A set-up whose plugin configuration is wrong");
        let (code, said) = self.yard.apply_mistake(urls).await?;
        for line in said.lines() {
            self.page.toned_fact(Tone::Refused, "apply", line);
        }
        self.checks.same(
            "apply refuses a configuration the plugin refuses",
            "exit code 2",
            format!("exit code {}", code.unwrap_or(-1)),
        );
        self.checks
            .holds("apply says whose configuration it is", SENDER, said.contains(SENDER), &said);
        self.event(&payloads::ISSUE, "issues.opened, after the refusal", serving).await?;
        Ok(())
    }

    fn summary(&self, began: Instant) {
        self.page.act("Summary");
        let rows: Vec<Vec<String>> = self
            .told
            .iter()
            .map(|told| {
                [
                    if told.good { "ok" } else { "FAILED" },
                    &told.name,
                    &told.outcome,
                    &told.version,
                    &told.cpu,
                    &told.delivered_in,
                ]
                .map(str::to_owned)
                .to_vec()
            })
            .collect();
        self.page
            .table(&["", "EVENT", "OUTCOME", "VERSION", "PLUGIN", "DELIVERED IN"], &rows, |row| {
                if row[0] == "ok" { Tone::Plain } else { Tone::Bad }
            });
        self.page.act("Checks");
        for check in self.checks.all() {
            match &check.instead {
                None => self.page.plain(&format!(
                    "  {}  {}: {}",
                    self.page.toned(Tone::Good, "ok    "),
                    check.what,
                    check.expected
                )),
                Some(found) => self.page.plain(&format!(
                    "  {}  {}: expected {}, found {found}",
                    self.page.toned(Tone::Bad, "FAILED"),
                    check.what,
                    check.expected
                )),
            }
        }
        let kinds: std::collections::BTreeSet<_> = PAYLOADS.iter().map(Payload::event).collect();
        let failed = self.checks.failed();
        let line = format!(
            "{} kinds of GitHub event, {} events, {} checks, {failed} failed, {:.1} s",
            kinds.len(),
            self.told.len() + 1,
            self.checks.all().len(),
            began.elapsed().as_secs_f64()
        );
        self.page.gap();
        self.page
            .plain(&self.page.toned(if failed == 0 { Tone::Good } else { Tone::Bad }, &line));
    }

    /// Goes on serving and shows what arrives, until somebody stops it.
    ///
    /// # Errors
    /// The receivers were never started.
    pub(super) async fn stay_up(&mut self) -> anyhow::Result<()> {
        self.page.act("The server stays up; Ctrl-C stops it");
        self.page.plain(&format!(
            "  curl -i '{}' \\\n    -H 'X-Api-Key: {}' -H 'Content-Type: application/json' -H 'X-GitHub-Event: push' \\\n    --data-binary @tests/fixtures/github/push.branch.json",
            self.yard.sender_url(),
            self.yard.api_key()
        ));
        self.page.gap();
        let (sinks, verifier) = self.receivers()?;
        let mut shown: Vec<usize> = sinks.all().iter().map(|(_, received)| received.len()).collect();
        loop {
            for ((endpoint, received), shown) in sinks.all().iter().zip(&mut shown) {
                for one in &received[*shown..] {
                    let signatures = verifier.verify(one);
                    let tone = if signatures.good() { Tone::Good } else { Tone::Bad };
                    let line = format!("{endpoint:<10}event {}; {}", one.header("webhook-id"), signatures.told());
                    self.page.toned_fact(tone, "delivered", &line);
                }
                *shown = received.len();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Names as a set: the order in a decision has no meaning.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.join(", ")
}

fn short(hash: &str) -> &str {
    hash.get(..HASH_CHARS).unwrap_or(hash)
}

/// One line on what was decided.
fn outcome(decision: &Value) -> String {
    if decision["drop"].is_object() {
        return format!("dropped: {}", text(&decision["drop"]["code"]));
    }
    if decision["failure"].is_object() {
        return format!("failed: {}", text(&decision["failure"]["message"]));
    }
    let chosen: Vec<&str> = list(&decision["chosen"]).iter().map(|one| text(&one["endpoint"])).collect();
    format!("to {}", chosen.join(", "))
}
