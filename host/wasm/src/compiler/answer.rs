//! What a compiling child says: one line of JSON, and behind it machine code up to the end.
//!
//! The line is bounded and read strictly, for the child has read what somebody uploaded.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::inspect::Refusal;

/// The line: names of imports and exports, of which the inspection takes no more than fit.
pub(super) const HEADER_BYTES_MAX: usize = 2 << 20;

/// A compiled module and what its outermost component asks for and offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    pub(crate) machine_code: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Header {
    Compiled {
        imports: Vec<String>,
        exports: Vec<String>,
        /// Tells a whole answer from one that broke off.
        machine_code_bytes: u64,
    },
    Refused {
        reason: String,
    },
}

pub(super) fn write(out: &mut impl Write, answer: Result<&Answer, &Refusal>) -> std::io::Result<()> {
    let (header, code) = match answer {
        Ok(Answer {
            imports,
            exports,
            machine_code,
        }) => (
            Header::Compiled {
                imports: imports.clone(),
                exports: exports.clone(),
                machine_code_bytes: machine_code.len() as u64,
            },
            &machine_code[..],
        ),
        Err(refusal) => (
            Header::Refused {
                reason: refusal.to_string(),
            },
            &[][..],
        ),
    };
    serde_json::to_writer(&mut *out, &header)?;
    out.write_all(b"\n")?;
    out.write_all(code)?;
    out.flush()
}

/// None: this is not a whole answer.
pub(super) fn read(mut said: Vec<u8>) -> Option<Result<Answer, Refusal>> {
    let end = said.iter().take(HEADER_BYTES_MAX).position(|byte| *byte == b'\n')?;
    match serde_json::from_slice(&said[..end]).ok()? {
        Header::Refused { reason } => Some(Err(Refusal::Told { reason })),
        Header::Compiled {
            imports,
            exports,
            machine_code_bytes,
        } => {
            said.drain(..=end);
            (said.len() as u64 == machine_code_bytes).then_some(Ok(Answer {
                imports,
                exports,
                machine_code: said,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer {
            imports: vec!["hookyard:plugin/log@0.1.0".to_owned()],
            exports: vec!["hookyard:plugin/router@0.1.0".to_owned()],
            machine_code: b"\x7fELF\n{}\n".to_vec(),
        }
    }

    #[test]
    fn an_answer_arrives_as_it_was_written() {
        let mut said = Vec::new();
        write(&mut said, Ok(&answer())).unwrap();
        assert_eq!(read(said).unwrap().unwrap(), answer());
        let mut said = Vec::new();
        write(&mut said, Err(&Refusal::NotWasm)).unwrap();
        assert_eq!(read(said).unwrap().unwrap_err().to_string(), Refusal::NotWasm.to_string());
    }

    #[test]
    fn what_broke_off_anywhere_is_not_an_answer() {
        let mut said = Vec::new();
        write(&mut said, Ok(&answer())).unwrap();
        for cut in 0..said.len() {
            assert!(read(said[..cut].to_vec()).is_none(), "{cut}");
        }
        said.push(0);
        assert!(read(said).is_none());
    }
}
