//! Modules that are small to upload and costly to look at, made by code, and what else may lie where a plugin belongs.
//!
//! Each that is meant for the compiler is a real plugin with something behind it, so that no earlier check stops it.

use crate::guests;

/// A component type within a component type, and so on: a parser that recurses has no stack for it.
pub fn nested_types() -> Vec<u8> {
    const DEPTH: usize = 100_000;
    let mut section = vec![1];
    for _ in 0..DEPTH {
        section.extend([0x41, 1, 1]);
    }
    section.extend([0x41, 0]);
    let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
    push_section(&mut wasm, 7, &section);
    wasm
}

/// A component that makes 900 of a component that makes 900 of a component that makes 900.
pub fn nested_instances() -> Vec<u8> {
    const TIMES: u32 = 900;
    let many = |section: &mut Vec<u8>, component: u32| {
        leb(section, TIMES);
        for _ in 0..TIMES {
            section.push(0);
            leb(section, component);
            section.push(0);
        }
    };
    let component = |inner: Option<&[u8]>| {
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        let empty = b"\0asm\x0d\0\x01\0";
        push_section(&mut wasm, 4, inner.unwrap_or(empty));
        let mut section = Vec::new();
        many(&mut section, 0);
        push_section(&mut wasm, 5, &section);
        wasm
    };
    let second = component(Some(&component(None)));
    let mut wasm = guests::bytes("misbehaving");
    let own = components(&wasm);
    push_section(&mut wasm, 4, &second);
    let mut section = Vec::new();
    many(&mut section, own);
    push_section(&mut wasm, 5, &section);
    wasm
}

/// A function with very many loops, and very many locals that are read behind them.
pub fn loops_and_locals() -> Vec<u8> {
    const LOOPS: usize = 20_000;
    const LOCALS: u32 = 40_000;
    // One run of locals, of i64.
    let mut body = vec![1];
    leb(&mut body, LOCALS);
    body.push(0x7e);
    for _ in 0..LOOPS {
        // loop; i32.const 0; br_if 0; end
        body.extend([0x03, 0x40, 0x41, 0, 0x0d, 0, 0x0b]);
    }
    for local in 0..LOCALS {
        // local.get; drop
        body.push(0x20);
        leb(&mut body, local);
        body.push(0x1a);
    }
    body.push(0x0b);
    with_function(&body)
}

/// A function of so many bytes that do nothing.
pub fn function_of(bytes: usize) -> Vec<u8> {
    let mut body = vec![0];
    body.resize(bytes - 1, 0x01);
    body.push(0x0b);
    with_function(&body)
}

/// A core module with so many exports.
pub fn exports(count: u32) -> Vec<u8> {
    let mut module = core_module(&[0, 0x0b]);
    let mut section = Vec::new();
    leb(&mut section, count);
    for index in 0..count {
        let name = index.to_string();
        leb(&mut section, name.len() as u32);
        section.extend(name.as_bytes());
        section.extend([0, 0]);
    }
    // Exports come before code.
    let code = module.split_off(core_head().len());
    push_section(&mut module, 7, &section);
    module.extend(code);
    with_module(&module)
}

/// The guest with a core module behind it that has one function with this body.
fn with_function(body: &[u8]) -> Vec<u8> {
    with_module(&core_module(body))
}

fn with_module(module: &[u8]) -> Vec<u8> {
    let mut wasm = guests::bytes("misbehaving");
    push_section(&mut wasm, 1, module);
    wasm
}

/// Up to the declaration of one function without parameters or results.
fn core_head() -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    push_section(&mut module, 1, &[1, 0x60, 0, 0]);
    push_section(&mut module, 3, &[1, 0]);
    module
}

fn core_module(body: &[u8]) -> Vec<u8> {
    let mut module = core_head();
    let mut section = vec![1];
    leb(&mut section, body.len() as u32);
    section.extend(body);
    push_section(&mut module, 10, &section);
    module
}

/// Components that the outermost component has so far, which number the next one.
fn components(wasm: &[u8]) -> u32 {
    use wasmparser::{ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, Payload};
    let (mut depth, mut count) = (0_u32, 0);
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.expect("the guest is well made") {
            Payload::ComponentSection { .. } => {
                count += u32::from(depth == 0);
                depth += 1;
            }
            Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentAliasSection(aliases) if depth == 0 => {
                for alias in aliases {
                    count += u32::from(matches!(
                        alias.expect("the guest is well made"),
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Component,
                            ..
                        } | ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::Component,
                            ..
                        }
                    ));
                }
            }
            _ => {}
        }
    }
    count
}

fn push_section(wasm: &mut Vec<u8>, id: u8, content: &[u8]) {
    wasm.push(id);
    leb(wasm, content.len() as u32);
    wasm.extend(content);
}

/// Unsigned LEB128: WebAssembly core specification, section 5.2.2.
fn leb(out: &mut Vec<u8>, mut value: u32) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}
