//! The event log, read as any program reads it: files of JSON lines.

use std::path::Path;

use serde_json::Value;

/// Every whole event in the directory, in the order of its number.
pub fn read(directory: &Path) -> Vec<Value> {
    let mut events = Vec::new();
    collect(directory, &mut events);
    events.sort_by_key(|event| event["responseData"]["sequence"].as_u64());
    events
}

/// The events whose field, by JSON pointer, has this value.
pub fn with<'a>(events: &'a [Value], pointer: &str, value: &str) -> Vec<&'a Value> {
    let matching = |event: &&Value| event.pointer(pointer).and_then(Value::as_str) == Some(value);
    events.iter().filter(matching).collect()
}

/// The evaluations of one request.
pub fn of_decision<'a>(events: &'a [Value], decision: &str) -> Vec<&'a Value> {
    with(events, "/responseData/decisionId", decision)
}

fn collect(directory: &Path, events: &mut Vec<Value>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.to_string_lossy().into_owned();
        // A file may be gone between listing and reading: segments are renamed when they close.
        let bytes = std::fs::read(&path).unwrap_or_default();
        let bytes = match path.extension().and_then(|end| end.to_str()) {
            // For a moment, a segment is there in two forms.
            Some("ndjson") if std::fs::exists(format!("{name}.zst")).unwrap() => continue,
            Some("ndjson") => bytes,
            Some("zst") => zstd::decode_all(&*bytes).unwrap_or_default(),
            Some(_) | None => continue,
        };
        let text = String::from_utf8_lossy(&bytes);
        // The last line may still be on its way to the disk.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        events.extend(whole.lines().map(|line| {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error} in {line}"))
        }));
    }
}
