//! Looks at an uploaded module before anything compiles it: what it is, what it asks for, whether this host can serve it.
//!
//! The order is cheapest first, and each step protects the next. The first bytes tell WebAssembly from machine code,
//! which must never come near anything that could load it. Validation reads every byte before another reader trusts
//! one. Counts bound the work of the compiler, whose time is not bounded by the size of its input alone. The names of
//! imports and exports then say which contract the module was built for, so that a mismatch is explained in the words
//! of the contract and not as a missing symbol.

use hookyard_domain::failure::PluginFailure;
use wasmtime::WasmFeatures;

use super::contract::{self, Line};
use super::interface::InterfaceName;

/// Functions in one upload, over all of its modules. Go, whose programs are large, has some 6,500.
const FUNCTIONS_MAX: usize = 100_000;

/// Bytes of one function body. Compile time grows faster than a body does, and the format itself would allow seven times
/// as much.
const FUNCTION_BYTES_MAX: usize = 1 << 20;

/// Imports and exports in one upload, over all of its modules and components. Go and CPython have some hundreds.
const NAMES_MAX: usize = 20_000;

/// Bytes of one name. Components nest their interfaces' names; real ones have some 60.
const NAME_BYTES_MAX: usize = 1_024;

/// Modules and components in one upload. CPython's has 33.
const PARTS_MAX: usize = 1_000;

/// Names of exports shown in a refusal.
const NAMES_SHOWN_MAX: usize = 5;

const COMPONENT_PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_PREAMBLE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// First bytes of machine code: ELF (also how wasmtime stores what it compiled), Mach-O and PE.
const NATIVE_MAGICS: [&[u8]; 5] = [b"\x7fELF", b"MZ", b"\xfe\xed\xfa\xce", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];

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
    #[error("compiling the module takes longer than {seconds} s")]
    CompileTime { seconds: u64 },
    #[error("compiling the module takes more than {mib} MiB of memory")]
    CompileMemory { mib: u64 },
    #[error("the module is nested too deeply to be compiled")]
    CompileStack,
    #[error("the compiler cannot be started: {message}")]
    NoCompiler { message: String },
    /// What a child that compiles said of it.
    #[error("{reason}")]
    Told { reason: String },
    #[error("the plugin does not follow contract {host}: {message}")]
    TypesDiffer { message: String, host: &'static str },
    #[error("the plugin could not describe itself: {0}")]
    Trial(PluginFailure),
    #[error("the plugin's description of itself is not usable: {message}")]
    Manifest { message: String },
}

/// For how long the same bytes would be refused again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// For as long as the judges are the same.
    Always,
    /// It may have been the machine's doing.
    ForAWhile,
    /// It says nothing about the bytes.
    Not,
}

impl Refusal {
    /// For how long this refusal need not be found out again.
    pub fn holds(&self) -> Holds {
        match self {
            Self::CompileTime { .. } | Self::CompilerFailed => Holds::ForAWhile,
            // A plugin that describes itself does so in the time this machine leaves it.
            Self::NoCompiler { .. } | Self::Trial(_) => Holds::Not,
            _ => Holds::Always,
        }
    }
}

/// What a module can do, told by what it imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// The imported interface with its version.
    pub interface: String,
    /// What it means here, for the person who decides about the plugin.
    pub sentence: &'static str,
}

/// A module that may be compiled.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) capabilities: Vec<Capability>,
    /// The line of the contract it was built for.
    pub(super) line: Line,
    /// Full names of the two interfaces every plugin exports.
    pub(super) router: String,
    pub(super) lifecycle: String,
}

/// Accepts a module for compilation or says why not; never panics, whatever the bytes.
pub(super) fn inspect(wasm: &[u8], bytes_max: usize, features: WasmFeatures) -> Result<Inspected, Refusal> {
    let Names { imports, exports } = read(wasm, bytes_max, features)?;
    judge(&imports, &exports)
}

/// What the size and the first bytes tell, without parsing anything.
pub(super) fn recognise(wasm: &[u8], bytes_max: usize) -> Result<(), Refusal> {
    if wasm.len() > bytes_max {
        return Err(Refusal::TooLarge {
            bytes: wasm.len(),
            bytes_max,
        });
    }
    if NATIVE_MAGICS.iter().any(|magic| wasm.starts_with(magic)) {
        return Err(Refusal::MachineCode);
    }
    if !wasm.starts_with(&COMPONENT_PREAMBLE[..4]) {
        return Err(Refusal::NotWasm);
    }
    if wasm.starts_with(&CORE_PREAMBLE) {
        return Err(Refusal::CoreModule);
    }
    Ok(())
}

/// Validates a module and reads what it asks for and offers. It recurses where the module nests and allocates what it
/// declares, so it belongs into a process that may end.
pub(super) fn read(wasm: &[u8], bytes_max: usize, features: WasmFeatures) -> Result<Names, Refusal> {
    recognise(wasm, bytes_max)?;
    wasmparser::Validator::new_with_features(features)
        .validate_all(wasm)
        .map_err(|error| invalid(&error))?;
    read_names(wasm)
}

/// Judges a module by what it asks for and offers.
pub(super) fn judge(imports: &[String], exports: &[String]) -> Result<Inspected, Refusal> {
    for import in imports {
        check_import(import)?;
    }
    let (line, router) = exported(exports, contract::ROUTER, "router", &Line::ALL)?;
    let (_, lifecycle) = exported(exports, contract::LIFECYCLE, "lifecycle", &[line])?;
    Ok(Inspected {
        line,
        router,
        lifecycle,
        capabilities: imports.iter().filter_map(|import| capability(import)).collect(),
    })
}

/// What the outermost component imports and exports.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

/// Collects what the outermost component imports and exports, and counts what it holds inside.
fn read_names(wasm: &[u8]) -> Result<Names, Refusal> {
    use wasmparser::Payload;

    let mut names = Names::default();
    let mut depth = 0_u32;
    let (mut functions, mut parts) = (0_usize, 0_usize);
    let mut count = 0_usize;
    let mut counted = |more: u32| {
        count += more as usize;
        bounded("imports and exports", count, NAMES_MAX)
    };
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| invalid(&error))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                parts += 1;
                bounded("modules and components", parts, PARTS_MAX)?;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionEntry(body) => {
                functions += 1;
                bounded("functions", functions, FUNCTIONS_MAX)?;
                bounded("bytes in one function", body.range().len(), FUNCTION_BYTES_MAX)?;
            }
            Payload::ImportSection(section) => counted(section.count())?,
            Payload::ExportSection(section) => counted(section.count())?,
            Payload::ComponentImportSection(section) => {
                counted(section.count())?;
                if depth == 0 {
                    for import in section {
                        let name = import.map_err(|error| invalid(&error))?.name.name;
                        bounded("bytes in one name", name.len(), NAME_BYTES_MAX)?;
                        names.imports.push(name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                counted(section.count())?;
                if depth == 0 {
                    for export in section {
                        let name = export.map_err(|error| invalid(&error))?.name.name;
                        bounded("bytes in one name", name.len(), NAME_BYTES_MAX)?;
                        names.exports.push(name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

fn bounded(what: &'static str, count: usize, count_max: usize) -> Result<(), Refusal> {
    if count > count_max {
        Err(Refusal::TooComplex { what, count, count_max })
    } else {
        Ok(())
    }
}

fn invalid(error: &wasmparser::BinaryReaderError) -> Refusal {
    Refusal::Invalid {
        offset: error.offset(),
        message: error.message().to_owned(),
    }
}

fn check_import(import: &str) -> Result<(), Refusal> {
    let name = InterfaceName::parse(import);
    if name.namespace() == "wasi" {
        return Ok(());
    }
    if name.package() != contract::PACKAGE {
        return Err(Refusal::UnknownImport { import: import.to_owned() });
    }
    let Some(line) = Line::of(name) else {
        return Err(Refusal::OtherContract {
            plugin: name.version.to_owned(),
            host: contract::VERSION,
        });
    };
    if line.offered().iter().any(|(interface, _)| *interface == name.interface) {
        return Ok(());
    }
    Err(Refusal::NewerContract {
        import: import.to_owned(),
        host: line.version(),
    })
}

/// Finds an exported interface of the contract in one of these lines.
fn exported(exports: &[String], interface: &str, missing: &'static str, lines: &[Line]) -> Result<(Line, String), Refusal> {
    let mut other = None;
    for export in exports {
        let name = InterfaceName::parse(export);
        if name.interface != interface {
            continue;
        }
        if let Some(line) = Line::of(name).filter(|line| lines.contains(line)) {
            return Ok((line, export.clone()));
        }
        other = Some(name.version.to_owned());
    }
    match other {
        Some(plugin) => Err(Refusal::OtherContract {
            plugin,
            host: contract::VERSION,
        }),
        None => Err(Refusal::NotAPlugin {
            missing,
            exports: list(exports),
        }),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = names[..names.len().min(NAMES_SHOWN_MAX)].join(", ");
    if names.len() > NAMES_SHOWN_MAX {
        text.push_str(&format!(" and {} more", names.len() - NAMES_SHOWN_MAX));
    }
    text
}

fn capability(import: &str) -> Option<Capability> {
    let name = InterfaceName::parse(import);
    let sentence = match name.interface {
        // Types alone allow nothing.
        "hookyard:plugin/types" | "wasi:io/error" => return None,
        "hookyard:plugin/log" => "can log to the record of its run",
        "hookyard:plugin/settings" => "can read its settings",
        "hookyard:plugin/ambient" => "can read the time of the event and seeded random numbers",
        "wasi:cli/environment" => "sees an empty environment and no arguments",
        "wasi:cli/exit" => "can end its own run, which counts as a failure",
        "wasi:cli/stdin" => "reads an input that has already ended",
        "wasi:cli/stdout" | "wasi:cli/stderr" => "can print to the log of its run",
        "wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock" => "reads a virtual clock that shows the time of the event",
        "wasi:filesystem/types" | "wasi:filesystem/preopens" => "asks for files and finds none",
        "wasi:io/poll" | "wasi:io/streams" => "can wait, in virtual time, and use its standard streams",
        "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" => {
            "draws random numbers that repeat for the same event"
        }
        _ if name.interface.starts_with("wasi:cli/terminal-") => "asks for a terminal and finds none",
        _ => "asks for something plugins do not have; calling it ends the run",
    };
    Some(Capability {
        interface: import.to_owned(),
        sentence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(wasm: &[u8]) -> Refusal {
        inspect(wasm, 1 << 20, WasmFeatures::default()).unwrap_err()
    }

    fn component(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn machine_code_is_recognised_before_anything_reads_it() {
        assert!(matches!(refusal(b"\x7fELF\x02\x01\x01"), Refusal::MachineCode));
        assert!(matches!(refusal(b"MZ\x90\0"), Refusal::MachineCode));
        assert!(matches!(refusal(b"\xcf\xfa\xed\xfe"), Refusal::MachineCode));
    }

    #[test]
    fn bytes_that_are_not_a_component_are_refused_by_kind() {
        assert!(matches!(refusal(b""), Refusal::NotWasm));
        assert!(matches!(refusal(b"(component)"), Refusal::NotWasm));
        assert!(matches!(refusal(&component("(module)")), Refusal::CoreModule));
        assert!(matches!(
            inspect(&[0; 11], 10, WasmFeatures::default()),
            Err(Refusal::TooLarge { bytes: 11, .. })
        ));
        assert!(matches!(refusal(b"\0asm"), Refusal::Invalid { .. }));
    }

    #[test]
    fn a_component_without_the_contract_is_told_what_it_exports() {
        let refusal = refusal(&component(
            r#"(component (instance $i) (export "acme:thing/x@1.0.0" (instance $i)))"#,
        ));
        assert_eq!(
            refusal.to_string(),
            "this component is not a plugin: it does not export hookyard:plugin/router. It exports acme:thing/x@1.0.0"
        );
    }

    #[test]
    fn another_contract_is_named_with_both_versions() {
        let wasm = component(r#"(component (instance $i) (export "hookyard:plugin/router@0.2.0" (instance $i)))"#);
        assert_eq!(
            refusal(&wasm).to_string(),
            "the plugin was built for contract 0.2.0, this host speaks 0.1.0; build it against version 0.1.0 of hookyard:plugin"
        );
        let wasm = component(r#"(component (import "hookyard:plugin/log@1.0.0" (instance)))"#);
        assert!(matches!(refusal(&wasm), Refusal::OtherContract { plugin, .. } if plugin == "1.0.0"));
    }

    #[test]
    fn an_import_nobody_offers_is_refused_by_name() {
        let wasm = component(r#"(component (import "hookyard:plugin/lookup@0.1.4" (instance)))"#);
        assert!(matches!(refusal(&wasm), Refusal::NewerContract { import, .. } if import.contains("lookup@0.1.4")));
        let wasm = component(r#"(component (import "acme:db/query@0.1.0" (instance)))"#);
        assert!(matches!(refusal(&wasm), Refusal::UnknownImport { import } if import == "acme:db/query@0.1.0"));
    }

    #[test]
    fn imports_of_inner_components_are_their_own_affair() {
        let wasm = component(r#"(component (component (import "acme:db/query@0.1.0" (instance))))"#);
        assert!(matches!(refusal(&wasm), Refusal::NotAPlugin { exports, .. } if exports == "nothing"));
    }
}
