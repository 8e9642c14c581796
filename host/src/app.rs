//! The server, put together: the one place that knows every stage and adapter.
//!
//! Starting: store, leases, configuration, plugins, then the stages from last to first, then the listener, so that
//! whatever a stage hands on finds a taker. Stopping goes the other way.

mod observe;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Extension, Router};
use hookyard_domain::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::observe::watcher;
use crate::{
    accept::Accept,
    clock::Clock,
    config::{BODY_BYTES_MAX_DEFAULT, Config, open_store},
    configuration::{Configuration, PlainHttp, Refreshed},
    deliver::Deliver,
    egress::Egress,
    fanout::{Deliveries, Routing},
    http::{
        self, Edge, Server,
        intake::Intake,
        native::{self, LocalOperator},
        peer::TrustedProxies,
    },
    installed::Installed,
    manage::{AskPlugins, ConfigAnswer, ConfigQuestion, Manage, Sessions},
    plugins::{self, Folder, Plugins, Unloadable},
    route::{self, Route},
    store::{Forgotten, LaneTasks, Liveness, Store},
    telemetry::{metrics::Metrics, supervision::supervised},
    wasm::{self, Engine},
};

/// How often the configuration's revision is looked at, beneath the notices: a missed one is noticed within a second.
const REVISION_EVERY: Duration = Duration::from_secs(1);
/// Heartbeats per lease, so that two may go missing.
const BEATS_PER_LEASE: u32 = 3;

/// How often what is over is cleared away. Until then it counts as absent all the same.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// How long the last outcomes may take to reach the disk.
const FLUSH_MAX: Duration = Duration::from_secs(10);

/// A running server.
pub struct App {
    server: Server,
    operations: Option<Server>,
    store: Store,
    lanes: LaneTasks,
    edge: Edge,
    route: Route,
    deliver: Deliver,
    closing: CancellationToken,
    tasks: TaskTracker,
    heartbeat: JoinHandle<()>,
    grace: Duration,
    /// The engine's ticker and machine code go with it, after everything that runs plugins.
    compiler: wasm::Compiler,
    _engine: Engine,
}

impl App {
    /// Starts everything. When it returns, events are accepted.
    ///
    /// # Errors
    /// The database, the engine or the listener cannot be started; the chain says which and why.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let now = clock.now();
        let store = open_store(&config.database, config.seal.clone(), now).await?;
        store.claim_key().await.context("cannot keep the secret key's check")?;
        store.register_node(now, config.lease).await.context("cannot register this node")?;
        let metrics = Arc::new(Metrics::default());
        metrics.build_info.set("version", env!("CARGO_PKG_VERSION"), 1.0);
        let (store, lanes) = store.watched(watcher(Arc::clone(&metrics))).start_lanes(&config.database)?;

        let configuration = Arc::new(Configuration::default());
        configuration.refresh(&store).await.context("cannot read the configuration")?;
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let mut wasm = config.wasm.clone();
        wasm.concurrent_calls_max = u32::try_from(threads).unwrap_or(u32::MAX).min(1_000);
        let engine = Engine::new(&wasm).context("cannot start the plugin engine")?;
        let installed = Arc::new(Installed::default());
        let plugins = Plugins::new(plugins::Parts {
            store: store.without_lanes(),
            engine: engine.clone(),
            compiler: config.compiler.clone(),
            installed: Arc::clone(&installed),
            configuration: Arc::clone(&configuration),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
        });
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        plugins.quarantine_abandoned().await.context("cannot read the plugins")?;
        let folder = config.plugins.clone().map(|path| Folder::new(path, plugins.clone()));
        let (all_offered, offered) = tokio::sync::oneshot::channel();
        tasks.spawn(load_plugins(plugins.clone(), folder, all_offered, closing.clone()));
        // A few plugins are ready before the first event. Where there are many, or one is slow to judge, events are accepted
        // meanwhile and wait for the version they need.
        tokio::time::timeout(config.plugins_wait, offered).await.ok();

        let egress = Egress::new(config.addresses.clone(), config.attempt_deadline)?;
        let blocked = store.breakers().await.context("cannot read which endpoints are left alone")?;
        let deliver = Deliver::start(
            store.clone(),
            egress,
            Arc::clone(&configuration),
            clock.clone(),
            Arc::clone(&metrics),
            config.search_every,
            &blocked,
        );
        let deliveries: Arc<dyn Deliveries> = Arc::new(deliver.clone());
        let route = Route::start(route::Parts {
            store: store.clone(),
            configuration: Arc::clone(&configuration),
            installed: Arc::clone(&installed),
            deliveries: Arc::clone(&deliveries),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
            limits: wasm.call_limits(),
            seed_key: config.seed_key,
            threads,
            search_every: config.search_every,
        })
        .context("cannot start the plugin threads")?;
        let routing: Arc<dyn Routing> = Arc::new(route.clone());
        let edge = Edge {
            accept: Accept::new(
                store.clone(),
                Arc::clone(&configuration),
                clock.clone(),
                Arc::clone(&deliveries),
                routing,
                Arc::clone(&metrics),
            ),
            manage: Manage::new(
                store.without_lanes(),
                Arc::clone(&configuration),
                clock.clone(),
                ask_loaded(plugins.clone()),
            ),
            deliveries,
            sessions: Sessions::new(store.without_lanes(), clock.clone(), &config.token_key),
            configuration: Arc::clone(&configuration),
            store: store.without_lanes(),
            intake: Intake::new(config.body_bytes_max),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            trusted_proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            registration: config.registration,
            plain_http: config.plain_http,
            dashboard_origin: config.dashboard_origin.clone(),
        };

        let observed_panics = metrics.panics.clone();
        let observed = observe::Observed {
            store: store.without_lanes(),
            configuration: Arc::clone(&configuration),
            installed,
            route: route.clone(),
            deliver: deliver.clone(),
            clock: clock.clone(),
            metrics,
        };
        let panics = || observed_panics.clone();
        tasks.spawn({
            let token = closing.clone();
            supervised("gauges", panics(), closing.clone(), move || {
                observe::observe(observed.clone(), token.clone())
            })
        });
        tasks.spawn({
            let (plugins, token) = (plugins.clone(), closing.clone());
            supervised("plugin-reconciler", panics(), closing.clone(), move || {
                plugins.clone().follow(token.clone())
            })
        });
        let quarantining = plugins.clone();
        tasks.spawn(follow_configuration(
            store.without_lanes(),
            configuration,
            plugins,
            route.clone(),
            closing.clone(),
        ));
        tasks.spawn(tidy_up(
            store.without_lanes(),
            edge.manage.clone(),
            quarantining,
            clock.clone(),
            closing.clone(),
        ));
        let heartbeat = tokio::spawn(keep_alive(
            store.without_lanes(),
            clock.clone(),
            config.lease,
            route.clone(),
            deliver.clone(),
            closing.clone(),
        ));

        let server = Server::start(config.listen, http::router(&edge))
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let operations = match config.operations_listen {
            Some(listen) => {
                let server = Server::start(listen, http::operations_router(&edge)).await;
                Some(server.with_context(|| format!("cannot listen on {listen} for operators"))?)
            }
            None => None,
        };
        tracing::info!(address = %server.address(), database = store.kind(), allocation = engine.allocation().as_str(), "hookyard is ready");
        Ok(Self {
            server,
            operations,
            store,
            lanes,
            edge,
            route,
            deliver,
            closing,
            tasks,
            heartbeat,
            grace: config.grace,
            compiler: config.compiler,
            _engine: engine,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where the operators' listener is.
    pub fn operations_address(&self) -> Option<SocketAddr> {
        self.operations.as_ref().map(Server::address)
    }

    /// What the server's dialects work with, for a dialect that is served elsewhere. It is to be dropped before the
    /// server stops: whoever holds it can still accept.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Stops in the order of an event's path: no new events, running plugins end, attempts in flight get their grace,
    /// outcomes are flushed, and what is still held goes back to the table at once instead of when the lease lapses.
    pub async fn stop(self) {
        self.server.stop().await;
        self.closing.cancel();
        // What is being checked is checked again at the next start.
        self.compiler.stop();
        if let Some(operations) = self.operations {
            operations.stop().await;
        }
        self.tasks.close();
        self.tasks.wait().await;
        let store = self.store.without_lanes();
        self.route.stop().await;
        self.deliver.stop(self.grace).await;
        drop((self.edge, self.route, self.deliver, self.store));
        self.lanes.finished(FLUSH_MAX).await;
        self.heartbeat.abort();
        self.heartbeat.await.ok();
        if let Err(error) = store.release_node(store.node()).await {
            tracing::warn!(%error, "cannot release this node's work; it is taken over when the lease lapses");
        }
        tracing::info!("hookyard has stopped");
    }
}

/// Swaps in a new snapshot whenever the configuration changed here, on another node, or by `hookyard apply`. Waits for nothing
/// but the read: what follows from a change is the business of whoever acts on the snapshot.
async fn follow_configuration(store: Store, configuration: Arc<Configuration>, plugins: Plugins, route: Route, closing: CancellationToken) {
    let mut announcements = store.announcements();
    while !closing.is_cancelled() {
        match configuration.refresh(&store).await {
            Ok(Refreshed::Changed) => {
                tracing::info!(revision = configuration.current().revision, "configuration loaded");
                plugins.configuration_changed();
                route.search();
            }
            Ok(Refreshed::Unchanged) => {}
            Err(error) => tracing::warn!(%error, "cannot read the configuration; the last one stays in force"),
        }
        tokio::select! {
            () = tokio::time::sleep(REVISION_EVERY) => {}
            () = announcements.next() => {}
            () = closing.cancelled() => {}
        }
    }
}

/// Loads the active versions, then offers what lies in the folder and follows it.
async fn load_plugins(plugins: Plugins, folder: Option<Folder>, all_offered: tokio::sync::oneshot::Sender<()>, closing: CancellationToken) {
    if let Err(error) = plugins.reconcile(Unloadable::TryAgain).await {
        tracing::warn!(%error, "cannot read which plugin versions are active; it is tried again");
        plugins.configuration_changed();
    }
    if let Some(folder) = folder {
        folder.follow(all_offered, closing).await;
    }
}

/// Forgets idempotency keys and sessions whose time is over, some at a time, writes down when credentials were last used, and
/// suspends endpoints that failed for too long.
async fn tidy_up(store: Store, manage: Manage, plugins: Plugins, clock: Clock, closing: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TIDY_EVERY) => {}
            () = closing.cancelled() => {
                // What was seen since is known to nobody else.
                manage.note_credential_uses().await.ok();
                return;
            }
        }
        loop {
            match store.forget_expired_keys(clock.now()).await {
                Ok(Forgotten::Some) if !closing.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot forget idempotency keys whose time is over");
                    break;
                }
            }
        }
        loop {
            match store.forget_sessions(clock.now()).await {
                Ok(forgotten) if forgotten > 0 && !closing.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot forget sessions whose time is over");
                    break;
                }
            }
        }
        if let Err(error) = plugins.quarantine_abandoned().await {
            tracing::warn!(%error, "cannot see which checks of modules were abandoned");
        }
        if let Err(error) = manage.note_credential_uses().await {
            tracing::warn!(%error, "cannot write down when credentials were last used");
        }
        if let Err(error) = manage.suspend_endpoints().await {
            tracing::warn!(%error, "cannot see which endpoints have failed for too long");
        }
    }
}

/// Beats for this node's leases until it is aborted, which is when the last outcome is on disk: a node that is stopping may
/// take longer than its lease. A node that was taken for dead starts over, for what it held is another's now.
async fn keep_alive(store: Store, clock: Clock, lease: Duration, route: Route, deliver: Deliver, closing: CancellationToken) {
    let every = lease / BEATS_PER_LEASE;
    let mut stages = Some((route, deliver));
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            // The stages hold the store's commit lanes open, and these are to end meanwhile.
            () = closing.cancelled(), if stages.is_some() => stages = None,
        }
        match (store.keep_alive(clock.now(), lease).await, &stages) {
            (Ok(Liveness::Alive), _) => {}
            (Ok(Liveness::DeclaredDead), Some((route, deliver))) => {
                tracing::error!("this node was silent for too long and its work was given to others; it starts over");
                route.abandon();
                deliver.abandon();
                if let Err(error) = store.register_node(clock.now(), lease).await {
                    tracing::warn!(%error, "cannot register again");
                }
                // What was committed between the declaration and now is leased to us and in nobody's memory.
                store.doubts().raise();
            }
            (Ok(Liveness::DeclaredDead), None) => {
                tracing::error!("this node was silent for too long and its work was given to others while it stopped");
            }
            (Err(error), _) => tracing::warn!(%error, "cannot keep this node's leases"),
        }
    }
}

/// Hookyard's own API over a store, for the operator's commands: what they do is done in one way, with or without a server.
pub fn own_api(store: Store, compiler: wasm::Compiler) -> Router {
    let configuration = Arc::new(Configuration::default());
    let clock = Clock::default();
    let ask = ask_plugins(store.clone(), compiler);
    let desk = native::Desk {
        manage: Manage::new(store.clone(), Arc::clone(&configuration), clock.clone(), ask),
        configuration,
        store,
        intake: Intake::new(BODY_BYTES_MAX_DEFAULT),
        clock,
        deliveries: None,
        plain_http: PlainHttp::Allowed,
    };
    native::router(desk).layer(Extension(LocalOperator))
}

/// The time, for callers that have no clock of their own.
pub fn now() -> Timestamp {
    Clock::default().now()
}

/// How operations ask plugins about configurations where no server runs: from the modules in the table.
pub fn ask_plugins(store: Store, compiler: wasm::Compiler) -> AskPlugins {
    Arc::new(move |questions: Vec<ConfigQuestion>| {
        let (store, compiler) = (store.clone(), compiler.clone());
        Box::pin(async move {
            let settings = wasm::Settings::default();
            answers(plugins::check_configs(&store, &settings, &compiler, &asked(questions)).await)
        })
    })
}

/// How operations of this server ask plugins about configurations: by the modules it has loaded.
fn ask_loaded(plugins: Plugins) -> AskPlugins {
    Arc::new(move |questions: Vec<ConfigQuestion>| {
        let plugins = plugins.clone();
        Box::pin(async move { answers(plugins.check_configs(asked(questions)).await) })
    })
}

/// The question of one stage in the words of the other: the stages do not know each other.
fn asked(questions: Vec<ConfigQuestion>) -> Vec<plugins::Question> {
    let question = |question: ConfigQuestion| plugins::Question {
        tenant: question.tenant,
        plugin: question.plugin,
        config: question.config,
    };
    questions.into_iter().map(question).collect()
}

fn answers(answers: Result<Vec<plugins::Answer>, plugins::CheckError>) -> Result<Vec<ConfigAnswer>, String> {
    let answers = answers.map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
    let answer = |answer| match answer {
        plugins::Answer::Accepted => ConfigAnswer::Accepted,
        plugins::Answer::Refused(problem) => ConfigAnswer::Refused(problem),
        plugins::Answer::NotAsked(why) => ConfigAnswer::NotAsked(why.to_string()),
    };
    Ok(answers.into_iter().map(answer).collect())
}
