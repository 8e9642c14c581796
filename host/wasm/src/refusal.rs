//! Why a module cannot become a plugin, in words its author can act on.

use hookyard_domain::failure::PluginFailure;

/// Why a module cannot become a plugin. The text is for its author.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the module has {bytes} bytes; the limit is {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("this is compiled machine code; upload the .wasm file it was made from")]
    MachineCode,
    #[error("this is not WebAssembly: it does not begin with \\0asm")]
    NotWasm,
    #[error("this is a core module, not a component; build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`")]
    CoreModule,
    #[error("the module is damaged or uses a feature that is switched off: {message} (at byte {offset})")]
    Invalid { offset: usize, message: String },
    #[error("the module has {count} {what}; the limit is {count_max}")]
    TooComplex {
        what: &'static str,
        count: usize,
        count_max: usize,
    },
    #[error("this component is not a plugin: it does not export hookyard:plugin/{missing}. It exports {exports}")]
    NotAPlugin { missing: &'static str, exports: String },
    #[error("the plugin was built for contract {plugin}, this host speaks {host}; build it against version {host} of hookyard:plugin")]
    OtherContract { plugin: String, host: &'static str },
    #[error("the plugin asks for {import}, which contract {host} does not have; it needs a newer host, or an older hookyard:plugin")]
    NewerContract { import: String, host: &'static str },
    #[error("the plugin imports {import}, which this host does not offer; a plugin can import hookyard:plugin and the wasi packages")]
    UnknownImport { import: String },
    #[error("the module cannot be compiled: {message}")]
    Compile { message: String },
    #[error("the compiler itself failed on this module; nothing about it can be fixed from here, please report it")]
    CompilerFailed,
    #[error("the plugin does not follow contract {host}: {message}")]
    TypesDiffer { message: String, host: &'static str },
    #[error("the plugin could not describe itself: {0}")]
    Trial(PluginFailure),
    #[error("the plugin's description of itself is not usable: {message}")]
    Manifest { message: String },
}
