//! Kills the real server again and again while it works, and holds what receivers saw against what was accepted.
//!
//! The server is a process of its own and dies by SIGKILL at random moments under a load of both kinds of token:
//! `dst_` events that accept decides by itself, and `sndr_` events that a plugin routes. Producers go on across the
//! restarts; half of them use an idempotency key and repeat what was not answered. The receiver stays up all the time.
//!
//! Between a kill and the next start nobody writes, so the database is read then as the crash left it. What it says is
//! the measure of what may follow: a delivery it calls settled is never sent again, one it calls unsettled may be sent
//! once more per crash, and always under the same `webhook-id`.
//!
//! `HOOKYARD_TEST_SEED` repeats a run's choices, `HOOKYARD_TEST_KILLS` sets how many kills there are.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookyard::store::Location;
use hookyard_domain::TenantId;
use hookyard_tests::{
    client::Client,
    database::{Kind, TestDatabase},
    guests,
    receiver::{Received, Receiver, Reply},
    server::{self, Server},
    setup::{Endpoint, Sender, SetupFile, Tenant, endpoint_token, sender_token},
    wait,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rusqlite::config::DbConfig;
use sqlx::{Connection as _, PgConnection};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Kills per database; the promise is made for at least twenty.
const KILLS: u32 = 20;
/// Producers posting at once: enough that every kill meets writes, attempts and plugin runs under way.
const PRODUCERS: u64 = 12;
/// Time between two posts of one producer: bounds what one run writes, and what the receiver must get through.
const PACE: Duration = Duration::from_millis(10);
/// The longest a server runs between its first accepted event and its kill.
const LIFE_MS_MAX: u64 = 800;
/// How long the last server may take to deliver all that is left.
const DRAIN: Duration = Duration::from_secs(45);
/// Twenty starts and kills and the last drain, on a busy machine.
const TEST_MAX: Duration = Duration::from_secs(150);

/// A real GitHub push, so that the plugin has something to say.
const PUSH: &str = include_str!("../fixtures/github/push.branch.json");

mod sqlite {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_sigkill_loses_nothing_and_repeats_only_what_was_in_flight() {
        super::a_sigkill_loses_nothing_and_repeats_only_what_was_in_flight(super::Kind::Sqlite).await;
    }
}

mod postgres {
    #[tokio::test(flavor = "multi_thread")]
    async fn a_sigkill_loses_nothing_and_repeats_only_what_was_in_flight() {
        super::a_sigkill_loses_nothing_and_repeats_only_what_was_in_flight(super::Kind::Postgres).await;
    }
}

async fn a_sigkill_loses_nothing_and_repeats_only_what_was_in_flight(kind: Kind) {
    // Building does not count towards the test's time.
    guests::build("github-to-slack");
    server::binary();
    tokio::time::timeout(TEST_MAX, Box::pin(kill_and_count(kind)))
        .await
        .unwrap_or_else(|_| panic!("the test did not end within {TEST_MAX:?}"));
}

async fn kill_and_count(kind: Kind) {
    let seed: u64 = from_env("HOOKYARD_TEST_SEED").unwrap_or_else(rand::random);
    let kills: u32 = from_env("HOOKYARD_TEST_KILLS").unwrap_or(KILLS);
    println!("{kills} kills of seed {seed}; HOOKYARD_TEST_SEED={seed} repeats their choice");
    let mut random = StdRng::seed_from_u64(seed);

    let receiver = Receiver::start().await;
    // Attempts of different length, so that a kill finds some begun, some answered and some not yet settled.
    receiver.script("/fast", [Reply::Status(200)]);
    receiver.script("/slow", [Reply::After(Duration::from_millis(40), Box::new(Reply::Status(204)))]);
    receiver.script("/slack", [Reply::After(Duration::from_millis(5), Box::new(Reply::Status(200)))]);
    let yard = Yard::prepare(kind, &receiver).await;

    let (current, server_now) = watch::channel(None);
    let load = Load::start(seed, &server_now);
    let mut ledger = Ledger::default();
    for _ in 0..kills {
        let mut server = yard.serve().await;
        let before = load.answers().accepted.len();
        current.send_replace(Some(server.client().clone()));
        load.wait_for_more_than(before).await;
        // The moment is the random choice itself: nothing is expected to have happened by then.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..LIFE_MS_MAX))).await;
        server.kill().await;
        current.send_replace(None);
        let wreck = yard.survey().await;
        ledger.enter(wreck, &times_seen(&receiver.received()));
    }

    let mut server = yard.serve().await;
    current.send_replace(Some(server.client().clone()));
    load.stop().await;
    let answers = std::mem::take(&mut *load.answers());
    let accepted = answers.accepted;
    receiver
        .wait_until(DRAIN, |received| {
            received.len() >= accepted.len() && accepted.is_subset(&times_seen(received).into_keys().collect())
        })
        .await;
    yard.wait_until_settled().await;
    assert!(server.stop().await.success(), "the last server stops cleanly");

    let seen = times_seen(&receiver.received());
    ledger.check(&seen);
    let last = yard.survey().await;
    assert!(last.unsettled.is_empty());
    let on_disk = last.settled;
    assert!(accepted.is_subset(&on_disk), "every accepted event is on disk");
    assert_eq!(
        seen.keys().copied().collect::<HashSet<_>>(),
        on_disk,
        "what was sent and what is on disk are the same events"
    );
    // An event nobody was told of is one whose answer the crash swallowed; with a key it was asked for again.
    let untold = on_disk.difference(&accepted).count();
    assert!(
        untold <= answers.unanswered_without_key,
        "{untold} events on disk were never answered, and only {} posts without a key went unanswered",
        answers.unanswered_without_key
    );
    assert!(yard.attempts_are_numbered_without_gaps().await, "attempts number 1..n (D1)");
    let repeats: usize = seen.values().map(|times| times - 1).sum();
    println!(
        "{} accepted, {untold} kept but untold, 0 lost, {repeats} repeats after {kills} kills",
        accepted.len()
    );
    assert!(accepted.len() > 20 * kills as usize, "there was a load: {} events", accepted.len());
}

/// A database, its configuration, and the servers started on them one after the other.
struct Yard {
    database: TestDatabase,
    tenants: BTreeMap<String, TenantId>,
}

impl Yard {
    async fn prepare(kind: Kind, receiver: &Receiver) -> Self {
        let database = TestDatabase::fresh(kind).await;
        let setup = SetupFile::new().tenant(
            Tenant::named("acme")
                .endpoint(Endpoint::new("fast", &receiver.url("/fast")).concurrency_max(16))
                .endpoint(Endpoint::new("slow", &receiver.url("/slow")).concurrency_max(32))
                .endpoint(Endpoint::new("slack", &receiver.url("/slack")).concurrency_max(16))
                .sender(
                    Sender::new("github")
                        .plugin("github-to-slack")
                        .event_type_header("X-GitHub-Event")
                        .endpoints(&["slack"]),
                ),
        );
        let tenants = server::apply(&database, &setup).await;
        let plugins = database.folder().join("data/plugins/acme");
        std::fs::create_dir_all(&plugins).expect("the plugin folder can be made");
        std::fs::write(plugins.join("github-to-slack.wasm"), guests::bytes("github-to-slack")).expect("a plugin can be written");
        Self { database, tenants }
    }

    /// Starts a server. Its short lease lets it take over a killed one's work within seconds on PostgreSQL, where it
    /// cannot know that the other is dead.
    async fn serve(&self) -> Server {
        Server::on(&self.database).arg("--lease-s=2").tenants(&self.tenants).start().await
    }

    /// Reads what a crash left. Nobody else may be at the database meanwhile.
    async fn survey(&self) -> Wreck {
        const UNSETTLED: &str =
            "SELECT event_id FROM route_work UNION SELECT d.event_id FROM delivery d JOIN delivery_work w ON w.delivery_id = d.id";
        const SETTLED: &str =
            "SELECT d.event_id FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM delivery_work w WHERE w.delivery_id = d.id)";
        self.wait_until_nobody_writes().await;
        Wreck {
            unsettled: self.ids(UNSETTLED).await,
            settled: self.ids(SETTLED).await,
        }
    }

    /// A killed server's last statements may still be running in PostgreSQL, which learns of its end only after them.
    async fn wait_until_nobody_writes(&self) {
        let Location::Postgres(url) = self.database.location() else {
            return;
        };
        const OURS: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'hookyard%'";
        let mut connection = PgConnection::connect(&url).await.expect("PostgreSQL is up");
        wait::until("PostgreSQL has ended the killed server's sessions", async || {
            let (sessions,): (i64,) = sqlx::query_as(OURS).fetch_one(&mut connection).await.expect("PostgreSQL answers");
            (sessions == 0).then_some(())
        })
        .await;
    }

    async fn attempts_are_numbered_without_gaps(&self) -> bool {
        // What has no work left was delivered by its last attempt; what has some says how many there were.
        const WRONG: &str = "SELECT d.event_id FROM delivery d LEFT JOIN delivery_work w ON w.delivery_id = d.id \
             LEFT JOIN attempt a ON a.delivery_id = d.id GROUP BY d.id, d.event_id, w.attempts \
             HAVING COUNT(a.number) <> COALESCE(w.attempts, MAX(a.number), -1) OR MIN(a.number) <> 1 OR MAX(a.number) <> COUNT(a.number)";
        self.ids(WRONG).await.is_empty()
    }

    async fn wait_until_settled(&self) {
        const SETTLED: &str = "SELECT delivery_id FROM delivery_work UNION SELECT event_id FROM route_work";
        wait::until("every delivery is settled", async || {
            self.ids(SETTLED).await.is_empty().then_some(())
        })
        .await;
    }

    /// The ids a statement of this file selects.
    async fn ids(&self, statement: &'static str) -> HashSet<Uuid> {
        match self.database.location() {
            Location::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).expect("the database file is there");
                // The next server must find the log as the crash left it.
                connection
                    .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
                    .expect("closing without a checkpoint can be asked for");
                let mut prepared = connection.prepare(statement).expect("the statement is right");
                let ids = prepared.query_map([], |row| row.get(0)).expect("the database can be read");
                ids.collect::<Result<_, _>>().expect("the database can be read to its end")
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(&url).await.expect("PostgreSQL is up");
                let ids: Vec<(Uuid,)> = sqlx::query_as(statement)
                    .fetch_all(&mut connection)
                    .await
                    .expect("the database can be read");
                ids.into_iter().map(|(id,)| id).collect()
            }
        }
    }
}

/// The database between a kill and the next start, by event: each has one delivery here.
struct Wreck {
    unsettled: HashSet<Uuid>,
    settled: HashSet<Uuid>,
}

/// What the crashes so far allow of each event.
#[derive(Default)]
struct Ledger {
    /// Crashes that found the event's delivery unsettled on disk.
    crashes_unsettled: HashMap<Uuid, usize>,
    /// How often the receiver had the event when a crash first found it settled on disk.
    seen_when_settled: HashMap<Uuid, usize>,
}

impl Ledger {
    fn enter(&mut self, wreck: Wreck, seen: &HashMap<Uuid, usize>) {
        for event in wreck.unsettled {
            *self.crashes_unsettled.entry(event).or_default() += 1;
        }
        for event in wreck.settled {
            let times = seen.get(&event).copied().unwrap_or_default();
            assert!(times > 0, "event {event} is settled on disk, and no receiver has seen it");
            self.seen_when_settled.entry(event).or_insert(times);
        }
    }

    fn check(&self, seen: &HashMap<Uuid, usize>) {
        for (event, times) in seen {
            if let Some(then) = self.seen_when_settled.get(event) {
                assert_eq!(
                    times, then,
                    "event {event} was settled on disk at a crash and was sent again after it"
                );
            }
            let crashes = self.crashes_unsettled.get(event).copied().unwrap_or_default();
            assert!(
                *times <= 1 + crashes,
                "event {event} was sent {times} times, but only {crashes} crashes found it unsettled"
            );
        }
    }
}

/// How often each `webhook-id` was received.
fn times_seen(received: &[Received]) -> HashMap<Uuid, usize> {
    let mut times = HashMap::new();
    for one in received {
        let id = one
            .header("webhook-id")
            .parse()
            .expect("every delivery has the event's id as its webhook-id");
        *times.entry(id).or_default() += 1;
    }
    times
}

/// What the producers were told.
#[derive(Default)]
struct Answers {
    /// Events answered with 202, or with 200 for a key that was repeated.
    accepted: HashSet<Uuid>,
    /// Posts without a key whose answer a crash swallowed: each may or may not have become an event.
    unanswered_without_key: usize,
}

/// The producers, which post to whatever server is up.
struct Load {
    answers: Arc<Mutex<Answers>>,
    grown: watch::Receiver<usize>,
    stopping: CancellationToken,
    producers: Mutex<JoinSet<()>>,
}

impl Load {
    fn start(seed: u64, server: &watch::Receiver<Option<Client>>) -> Self {
        let answers = Arc::<Mutex<Answers>>::default();
        let (grows, grown) = watch::channel(0);
        let stopping = CancellationToken::new();
        let mut producers = JoinSet::new();
        for number in 0..PRODUCERS {
            let producer = Producer {
                number,
                random: StdRng::seed_from_u64(seed ^ (number + 1)),
                server: server.clone(),
                answers: Arc::clone(&answers),
                grows: grows.clone(),
            };
            producers.spawn(producer.run(stopping.clone()));
        }
        Self {
            answers,
            grown,
            stopping,
            producers: Mutex::new(producers),
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        lock(&self.answers)
    }

    async fn wait_for_more_than(&self, count: usize) {
        let mut grown = self.grown.clone();
        let waited = tokio::time::timeout(wait::PATIENCE, grown.wait_for(|now| *now > count)).await;
        waited
            .expect("a server that is up accepts events")
            .expect("the producers are at work");
    }

    /// Lets each producer finish the post it is at.
    async fn stop(&self) {
        self.stopping.cancel();
        let producers = std::mem::take(&mut *lock(&self.producers));
        tokio::time::timeout(wait::PATIENCE, producers.join_all())
            .await
            .expect("the last server answers every post");
    }
}

struct Producer {
    number: u64,
    random: StdRng,
    server: watch::Receiver<Option<Client>>,
    answers: Arc<Mutex<Answers>>,
    grows: watch::Sender<usize>,
}

impl Producer {
    async fn run(mut self, stopping: CancellationToken) {
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for post in 0_u64.. {
            if stopping.is_cancelled() {
                return;
            }
            pace.tick().await;
            let key = self
                .number
                .is_multiple_of(2)
                .then(|| format!("producer-{}-post-{post}", self.number));
            self.post(key.as_deref()).await;
        }
    }

    /// Posts one event. With a key, until there is an answer; without one, once.
    async fn post(&mut self, key: Option<&str>) {
        let (token, body) = match self.random.random_range(0..10) {
            0..4 => (endpoint_token("acme", "fast"), r#"{"order": 1}"#),
            4..6 => (endpoint_token("acme", "slow"), r#"{"order": 2}"#),
            _ => (sender_token("acme", "github"), PUSH),
        };
        loop {
            let client = self
                .server
                .wait_for(Option::is_some)
                .await
                .expect("the test outlives its producers")
                .clone()
                .expect("it was waited for");
            let mut post = client.post(&token, body).header("x-github-event", "push");
            if let Some(key) = key {
                post = post.key(key);
            }
            match post.try_send().await {
                Ok(answer) if answer.status == 202 || (answer.status == 200 && key.is_some()) => {
                    let event = answer.event_id().parse().expect("an event's id is a UUID");
                    let mut answers = lock(&self.answers);
                    assert!(answers.accepted.insert(event), "two posts were answered with event {event}");
                    self.grows.send_replace(answers.accepted.len());
                    return;
                }
                Ok(answer) => panic!("a good post was answered {}: {}", answer.status, answer.text()),
                Err(_) if key.is_none() => {
                    lock(&self.answers).unanswered_without_key += 1;
                    return;
                }
                // The server that broke off is dead or about to be found so: the next look finds none or another.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn from_env<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}
