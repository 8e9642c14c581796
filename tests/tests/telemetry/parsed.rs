//! `/metrics` as a real client library reads it.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use hookyard_tests::python;
use serde_json::Value;

use super::*;

/// The families of a text, as Prometheus' own parser for Python sees them.
pub struct Parsed(Vec<Value>);

impl Parsed {
    /// # Panics
    /// When the text is not in the Prometheus text format.
    pub fn of(text: &str) -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prometheus");
        let programs = python::programs(&fixtures.join("requirements.txt"));
        let mut parser = Command::new(programs.join("python"))
            .arg(fixtures.join("parse.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be run");
        let mut stdin = parser.stdin.take().expect("its standard input is a pipe");
        stdin.write_all(text.as_bytes()).expect("it reads");
        drop(stdin);
        let output = parser.wait_with_output().expect("it ends");
        assert!(output.status.success(), "not the Prometheus text format:\n{text}");
        Self(serde_json::from_slice(&output.stdout).expect("the families are JSON"))
    }

    pub async fn now(client: &Client) -> Self {
        let answer = client.get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        Self::of(&answer.text())
    }

    /// The names, as the text has them in its `# TYPE` lines: the parser leaves the end of a counter's out.
    pub fn names(&self) -> Vec<String> {
        let name = |family: &Value| {
            let end = if family["kind"] == "counter" { "_total" } else { "" };
            format!("{}{end}", family["name"].as_str().unwrap_or_default())
        };
        self.0.iter().map(name).collect()
    }

    /// All values of a metric added up, and how many observations there were of a histogram.
    pub fn sum(&self, metric: &str) -> f64 {
        self.samples(metric).map(|sample| sample["value"].as_f64().unwrap_or(0.0)).sum()
    }

    /// The value with this label; 0 where there is none yet.
    pub fn with(&self, metric: &str, value: &str) -> f64 {
        let mut samples = self.samples(metric);
        let found = samples.find(|sample| {
            let labels = sample["labels"].as_object();
            labels.is_some_and(|labels| labels.values().any(|label| label == value))
        });
        found.map_or(0.0, |sample| sample["value"].as_f64().unwrap_or(0.0))
    }

    fn samples(&self, metric: &str) -> impl Iterator<Item = &Value> {
        let all = self.0.iter().flat_map(|family| family["samples"].as_array().into_iter().flatten());
        let count = format!("{metric}_count");
        all.filter(move |sample| sample["name"] == metric || sample["name"] == count.as_str())
    }

    pub fn label_values(&self) -> Vec<String> {
        let samples = self.0.iter().flat_map(|family| family["samples"].as_array().into_iter().flatten());
        let labels = samples.flat_map(|sample| sample["labels"].as_object().into_iter().flatten());
        let texts = labels.map(|(_, value)| value.as_str().unwrap_or_default().to_owned());
        texts.collect()
    }
}
