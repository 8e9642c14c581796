//! The set-up file of a measured server, and the files of its secrets.

use std::{net::SocketAddr, path::Path};

use anyhow::Context as _;

pub const API_KEY: &str = "bench-0123456789abcdefghij";
/// Of the endpoint's own token.
pub const DIRECT: &str = "dst_0123456789abcdefghij";
/// Of a sender without a plugin and without endpoints: its events are kept and go nowhere.
pub const KEPT: &str = "sndr_kept-0123456789abcdefghij";
/// Of a sender whose plugin makes a new payload for the endpoint.
pub const PLUGIN: &str = "sndr_plugin-0123456789abcdefghij";
/// Of a sender whose plugin forwards the payload as received.
pub const FORWARD: &str = "sndr_forward-0123456789abcdefghij";
/// The tenant that posts go to.
pub const TENANT: &str = "bench";
/// The plugin, by the name its file has.
pub const ROUTER: &str = "router";

/// Attempts at once to the receiver.
const CONCURRENCY_MAX: u32 = 256;
const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What `hookyard apply` is given.
#[derive(Debug)]
pub struct SetUp {
    text: String,
    /// Files beside it: names and contents.
    secrets: Vec<(String, String)>,
    /// Tenants with a folder for the plugin.
    plugins_of: Vec<String>,
}

impl SetUp {
    /// The tenant [`TENANT`] with an endpoint that leads to the receiver and the senders above.
    pub fn usual(receiver: SocketAddr) -> Self {
        let mut set_up = Self {
            text: String::new(),
            secrets: vec![
                ("secret".to_owned(), WEBHOOK_SECRET.to_owned()),
                ("key".to_owned(), API_KEY.to_owned()),
            ],
            plugins_of: Vec::new(),
        };
        set_up.tenant(TENANT);
        set_up.text += "[[tenant.api_key]]\nname = \"bench\"\nkey = { file = \"key\" }\n";
        set_up.plugins_of.push(TENANT.to_owned());
        set_up.endpoint("sink", receiver, CONCURRENCY_MAX, Some(DIRECT), "metadata = { repo = \"*\" }");
        set_up.endpoint(
            "original",
            receiver,
            CONCURRENCY_MAX,
            None,
            "metadata = { repo = \"*\", payload = \"original\" }",
        );
        set_up.sender("kept", KEPT, "endpoints = []");
        set_up.sender("plugin", PLUGIN, "plugin = \"router\"\nendpoints = [\"sink\"]");
        set_up.sender("forward", FORWARD, "plugin = \"router\"\nendpoints = [\"original\"]");
        set_up
    }

    /// Begins another tenant; endpoints and senders that follow are its.
    pub fn tenant(&mut self, name: &str) {
        self.text += &format!("[[tenant]]\nname = \"{name}\"\nwebhook_secret = {{ file = \"secret\" }}\n");
    }

    /// Gives a tenant the plugin.
    pub fn plugin_for(&mut self, tenant: &str) {
        self.plugins_of.push(tenant.to_owned());
    }

    pub fn endpoint(&mut self, name: &str, receiver: SocketAddr, concurrency_max: u32, token: Option<&str>, more: &str) {
        self.text += &format!(
            "[[tenant.endpoint]]\nname = \"{name}\"\nurl = \"http://{receiver}/{name}\"\ninsecure_http = true\n\
             concurrency_max = {concurrency_max}\n{more}\n"
        );
        if let Some(token) = token {
            self.text += &format!("token = {{ file = \"{token}\" }}\n");
            self.secrets.push((token.to_owned(), token.to_owned()));
        }
    }

    pub fn sender(&mut self, name: &str, token: &str, more: &str) {
        self.text += &format!(
            "[[tenant.sender]]\nname = \"{name}\"\ntoken = {{ file = \"{token}\" }}\nevent_type_header = \"x-github-event\"\n{more}\n"
        );
        self.secrets.push((token.to_owned(), token.to_owned()));
    }

    /// Writes it all into a folder, the plugin too.
    ///
    /// # Errors
    /// The folder cannot be written or the plugin not be read.
    pub fn write(&self, folder: &Path, plugin: &Path) -> anyhow::Result<()> {
        for (file, text) in &self.secrets {
            std::fs::write(folder.join(file), text)?;
        }
        std::fs::write(folder.join("setup.toml"), &self.text)?;
        for tenant in &self.plugins_of {
            let modules = folder.join("plugins").join(tenant);
            std::fs::create_dir_all(&modules)?;
            std::fs::copy(plugin, modules.join(ROUTER).with_extension("wasm"))
                .with_context(|| format!("cannot copy {}", plugin.display()))?;
        }
        Ok(())
    }
}
