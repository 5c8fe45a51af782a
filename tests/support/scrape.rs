//! Prometheus text, read back.

use std::collections::BTreeMap;

/// One scrape.
pub struct Scrape {
    samples: Vec<Sample>,
    pub text: String,
}

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    /// Reads the exposition.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { samples: lines.map(sample).collect(), text: text.to_owned() }
    }

    /// The sum of all samples of this name that have these labels, whatever else they have.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let matching = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).is_some_and(|found| found == value))
        };
        self.samples.iter().filter(matching).map(|sample| sample.value).sum()
    }

    /// Whether there is any sample of this name.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }

    /// The label names of every sample of this name.
    pub fn label_names(&self, name: &str) -> Vec<Vec<&str>> {
        let of_name = self.samples.iter().filter(|sample| sample.name == name);
        of_name.map(|sample| sample.labels.keys().map(String::as_str).collect()).collect()
    }
}

#[track_caller]
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("no series: {line}"));
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once("=\"").unwrap();
        let end = closing_quote(tail);
        labels.insert(key.trim_start_matches(',').to_owned(), tail[..end].to_owned());
        rest = &tail[end + 1..];
    }
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap() }
}

fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    let closes = |character: char| {
        let closes = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        closes
    };
    text.find(closes).unwrap()
}
