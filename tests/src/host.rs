//! The real server, in the test's own process.
//!
//! It is [`App`] itself on a fresh database, listening on a free port, with loopback receivers allowed and a clock the
//! test can move. It can be stopped and started again on the same database. For what needs a process that can be
//! killed, see [`crate::server`].

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use hookyard::{
    app::App,
    clock::Clock,
    config::{BODY_BYTES_MAX_DEFAULT, Config, Registration, SEARCH_EVERY_DEFAULT},
    configuration::PlainHttp,
    http::Edge,
    store::Store,
    wasm,
};
use hookyard_domain::{
    TenantId,
    address::{AddressPolicy, Loopback},
};

use crate::{
    client::Client,
    database::{Kind, TestDatabase, seal_key},
    proxy::Proxy,
    server::compiler,
    setup::SetupFile,
};

type Adjust = Box<dyn FnOnce(&mut Config) + Send>;

/// A host that is not started yet.
pub struct Builder {
    kind: Kind,
    setup: SetupFile,
    plugins: Vec<(String, String, Vec<u8>)>,
    adjust: Vec<Adjust>,
    wire: Wire,
}

/// How the server reaches its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Direct,
    ThroughProxy,
}

impl Builder {
    /// What is configured before the server starts.
    #[must_use]
    pub fn setup(mut self, setup: SetupFile) -> Self {
        self.setup = setup;
        self
    }

    /// Puts a module into the watched folder before the server starts.
    #[must_use]
    pub fn plugin(mut self, tenant: &str, name: &str, wasm: Vec<u8>) -> Self {
        self.plugins.push((tenant.to_owned(), name.to_owned(), wasm));
        self
    }

    /// Changes the server's configuration.
    #[must_use]
    pub fn config(mut self, adjust: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.adjust.push(Box::new(adjust));
        self
    }

    /// Puts a wire that can be cut between the server and PostgreSQL. [`TestHost::store`] is not on it.
    #[must_use]
    pub fn through_proxy(mut self) -> Self {
        self.wire = Wire::ThroughProxy;
        self
    }

    /// # Panics
    /// When the server does not start.
    pub async fn start(self) -> TestHost {
        let database = TestDatabase::fresh(self.kind).await;
        let clock = Clock::default();
        let store = database.open(clock.now()).await;
        let tenants = if self.setup.tenants().next().is_some() {
            self.setup.apply_in_process(&store, clock.now()).await
        } else {
            BTreeMap::new()
        };
        let plugins = database.folder().join("plugins");
        std::fs::create_dir_all(&plugins).expect("the plugin folder can be made");
        let mut config = Config {
            database: database.location(),
            seal: seal_key(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            operations_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            plugins: Some(plugins.clone()),
            addresses: AddressPolicy {
                loopback: Loopback::AllowedForTests,
                allowed: Vec::new(),
            },
            attempt_deadline: Duration::from_secs(10),
            body_bytes_max: BODY_BYTES_MAX_DEFAULT,
            lease: Duration::from_secs(15),
            grace: Duration::from_secs(2),
            wasm: wasm::Settings::default(),
            // Tests post as soon as the server is there.
            plugins_wait: Duration::from_secs(60),
            compiler: compiler(),
            seed_key: [7; 32],
            token_key: [8; 32],
            trusted_proxies: Vec::new(),
            registration: Registration::Open,
            plain_http: PlainHttp::Allowed,
            dashboard_origin: None,
            search_every: SEARCH_EVERY_DEFAULT,
        };
        let proxy = match self.wire {
            Wire::Direct => None,
            Wire::ThroughProxy => {
                let proxy = Proxy::before(database.url()).await;
                config.database = proxy.url().parse().expect("a proxy has a URL the server takes");
                Some(proxy)
            }
        };
        for adjust in self.adjust {
            adjust(&mut config);
        }
        let mut host = TestHost {
            app: None,
            client: None,
            operations: None,
            clock,
            config,
            store,
            tenants,
            plugins,
            proxy,
            database,
        };
        for (tenant, name, wasm) in self.plugins {
            host.put_plugin(&tenant, &name, &wasm);
        }
        host.start().await;
        host
    }
}

/// A running server, or a stopped one that may be started again.
pub struct TestHost {
    app: Option<App>,
    client: Option<Client>,
    operations: Option<Client>,
    clock: Clock,
    config: Config,
    store: Store,
    tenants: BTreeMap<String, TenantId>,
    plugins: PathBuf,
    proxy: Option<Proxy>,
    database: TestDatabase,
}

impl TestHost {
    pub fn builder(kind: Kind) -> Builder {
        Builder {
            kind,
            setup: SetupFile::new(),
            plugins: Vec::new(),
            adjust: Vec::new(),
            wire: Wire::Direct,
        }
    }

    /// Starts the server again after [`TestHost::stop`]; it listens on another port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&mut self) {
        // The one of the run before is stopped with it.
        self.config.compiler = compiler();
        let app = Box::pin(App::start(self.config.clone(), self.clock.clone()))
            .await
            .unwrap_or_else(|error| panic!("the server does not start: {error:#}"));
        self.client = Some(Client::new(&format!("http://{}", app.address()), self.tenants.clone()));
        let operations = app.operations_address();
        self.operations = operations.map(|address| Client::new(&format!("http://{address}"), BTreeMap::new()));
        self.app = Some(app);
    }

    /// Stops the server as a signal would. The database stays.
    pub async fn stop(&mut self) {
        self.client = None;
        self.operations = None;
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    /// Stops and starts the server.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// What the running server's dialects work with, for a dialect that a test serves itself. It is to be dropped before
    /// the server is stopped.
    ///
    /// # Panics
    /// When the server is stopped.
    pub fn edge(&self) -> Edge {
        self.app.as_ref().expect("the server runs").edge().clone()
    }

    /// A client of the running server.
    ///
    /// # Panics
    /// When the server is stopped.
    pub fn client(&self) -> &Client {
        self.client.as_ref().expect("the server runs")
    }

    /// A client of the operators' listener.
    ///
    /// # Panics
    /// When the server is stopped, or was configured without one.
    pub fn operations(&self) -> &Client {
        self.operations.as_ref().expect("the server has a listener for operators")
    }

    pub fn ingest_url(&self, token: &str) -> String {
        self.client().ingest_url(token)
    }

    /// A second store on the server's database: it reads and configures, and accepts nothing.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The wire to the database.
    ///
    /// # Panics
    /// When the host was not built with [`Builder::through_proxy`].
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("this host's database is behind a proxy")
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves the server's clock forward. What is due then is noticed within a second.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// # Panics
    /// When no tenant has the name.
    pub fn tenant(&self, name: &str) -> TenantId {
        self.tenants[name]
    }

    /// Applies another set-up. The server notices within a second.
    pub async fn apply(&mut self, setup: &SetupFile) {
        self.tenants = setup.apply_in_process(&self.store, self.clock.now()).await;
        if let Some(client) = &mut self.client {
            *client = Client::new(client.base(), self.tenants.clone());
        }
    }

    /// Puts a module into the watched folder by renaming, so that it is there as a whole.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn put_plugin(&self, tenant: &str, name: &str, wasm: &[u8]) {
        let folder = self.plugins.join(tenant);
        std::fs::create_dir_all(&folder).expect("the plugin folder can be made");
        let beside = folder.join(format!(".{name}.part"));
        std::fs::write(&beside, wasm).expect("a module can be written");
        std::fs::rename(&beside, folder.join(format!("{name}.wasm"))).expect("a module can be put in place");
    }
}
