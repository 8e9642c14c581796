//! What was measured, as a table for people and JSON for scripts, and the bars it is held against.

use std::collections::BTreeMap;

use serde::Serialize;

/// One measured row.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Line {
    pub name: String,
    /// SQLite or PostgreSQL; none where no database takes part.
    pub database: Option<&'static str>,
    /// Per second: posts answered, or events settled, or calls made.
    pub rate: f64,
    /// All runs; `rate` is their median.
    pub rates: Vec<f64>,
    /// Against what it is to be held.
    pub ratio: Option<Ratio>,
    pub p50_us: Option<u32>,
    pub p99_us: Option<u32>,
    /// The longest of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p100_us: Option<u32>,
    /// Of all rounds, where `p99_us` is their median.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub p99s_us: Vec<u32>,
    /// Processor time per event: of the server.
    pub server_cpu_us: Option<f64>,
    /// Of the database's own processes.
    pub database_cpu_us: Option<f64>,
    /// Of the load generator and the receiver.
    pub client_cpu_us: Option<f64>,
    pub disk_bytes_per_event: Option<u64>,
    pub memory_peak_bytes: Option<u64>,
}

/// A figure over another of the same run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ratio {
    pub value: f64,
    /// What it is measured against, e.g. `floor`.
    pub of: &'static str,
}

impl Line {
    /// Processor time per event of the server and its database.
    pub fn cpu_us(&self) -> Option<f64> {
        Some(self.server_cpu_us? + self.database_cpu_us.unwrap_or_default())
    }
}

/// A figure that is promised.
#[derive(Debug, Clone, Serialize)]
pub struct Bar {
    pub name: String,
    pub value: f64,
    pub limit: f64,
    /// Whether `limit` is the least that is promised, or the most.
    pub at_least: bool,
    pub unit: &'static str,
    pub holds: bool,
}

impl Bar {
    pub fn at_least(name: impl Into<String>, value: f64, limit: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            limit,
            at_least: true,
            unit,
            holds: value >= limit,
        }
    }

    pub fn at_most(name: impl Into<String>, value: f64, limit: f64, unit: &'static str) -> Self {
        Self {
            at_least: false,
            holds: value <= limit,
            ..Self::at_least(name, value, limit, unit)
        }
    }
}

/// Everything one run of the benchmark found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub settings: BTreeMap<&'static str, String>,
    pub lines: Vec<Line>,
    pub bars: Vec<Bar>,
    /// How figures are meant that could be meant in several ways.
    pub notes: Vec<String>,
    /// Why it ended before all was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Report {
    pub fn line(&self, name: &str, database: Option<&'static str>) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == name && line.database == database)
    }

    /// Bars that were not reached.
    pub fn missed(&self) -> impl Iterator<Item = &Bar> {
        self.bars.iter().filter(|bar| !bar.holds)
    }

    pub fn print(&self) {
        let heads = [
            "ROW",
            "DATABASE",
            "PER SECOND",
            "RATIO",
            "P50 MS",
            "P99 MS",
            "MAX MS",
            "CPU US",
            "DB CPU US",
            "LOAD CPU US",
            "DISK B",
            "PEAK MIB",
        ];
        print_table(&heads, &self.lines.iter().map(cells).collect::<Vec<_>>());
        println!();
        let bars: Vec<Vec<String>> = self
            .bars
            .iter()
            .map(|bar| {
                vec![
                    bar.name.clone(),
                    format!("{:.2} {}", bar.value, bar.unit),
                    format!("{} {}", if bar.at_least { "at least" } else { "at most" }, bar.limit),
                    if bar.holds { "ok" } else { "missed" }.to_owned(),
                ]
            })
            .collect();
        print_table(&["PROMISED", "MEASURED", "BAR", ""], &bars);
        for note in &self.notes {
            println!("\n{note}");
        }
    }
}

fn cells(line: &Line) -> Vec<String> {
    let us = |value: Option<f64>| value.map_or_else(String::new, |us| format!("{us:.1}"));
    let ms = |value: Option<u32>| value.map_or_else(String::new, |us| format!("{:.2}", f64::from(us) / 1_000.0));
    vec![
        line.name.clone(),
        line.database.unwrap_or_default().to_owned(),
        if line.rate > 0.0 {
            format!("{:.0}", line.rate)
        } else {
            String::new()
        },
        line.ratio
            .map_or_else(String::new, |ratio| format!("{:.2} x {}", ratio.value, ratio.of)),
        ms(line.p50_us),
        ms(line.p99_us),
        ms(line.p100_us),
        us(line.server_cpu_us),
        us(line.database_cpu_us),
        us(line.client_cpu_us),
        line.disk_bytes_per_event.map_or_else(String::new, |bytes| bytes.to_string()),
        line.memory_peak_bytes.map_or_else(String::new, |bytes| (bytes >> 20).to_string()),
    ]
}

fn print_table(heads: &[&str], rows: &[Vec<String>]) {
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        longest.max(heads[column].len())
    };
    let print = |cells: &[String]| {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let width = width(column);
            // Names to the left, figures to the right.
            line += &if column < 2 {
                format!("{cell:width$}  ")
            } else {
                format!("{cell:>width$}  ")
            };
        }
        println!("{}", line.trim_end());
    };
    print(&heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>());
    for row in rows {
        print(row);
    }
}

/// The middle value; of an even number, the lower of the two. Zero of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_measured_value() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0]) - 1.0).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn a_bar_holds_at_its_limit_and_not_beyond() {
        assert!(Bar::at_least("a", 0.4, 0.4, "").holds);
        assert!(!Bar::at_least("a", 0.39, 0.4, "").holds);
        assert!(Bar::at_most("a", 60.0, 60.0, "").holds);
        assert!(!Bar::at_most("a", 60.1, 60.0, "").holds);
    }
}
