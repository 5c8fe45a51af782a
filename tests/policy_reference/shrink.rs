//! Makes a scenario small while something about it stays true.

use serde_json::Value;

/// Takes out of the scenario all that it can do without: members and elements, from the outside in,
/// until nothing more can go.
pub(crate) fn shrink(scenario: &Value, keep: &dyn Fn(&Value) -> bool) -> Value {
    let mut smallest = scenario.clone();
    loop {
        let before = smallest.clone();
        shrink_at(&mut smallest, "", keep);
        if smallest == before {
            return smallest;
        }
    }
}

/// Shrinks what is at a place.
fn shrink_at(scenario: &mut Value, place: &str, keep: &dyn Fn(&Value) -> bool) {
    let names: Vec<String> = match scenario.pointer(place) {
        // From the end, so that what is left keeps its place.
        Some(Value::Array(items)) => (0..items.len()).rev().map(|n| n.to_string()).collect(),
        Some(Value::Object(members)) => members.keys().cloned().collect(),
        _ => return,
    };
    for name in names {
        let mut without = scenario.clone();
        match without.pointer_mut(place) {
            Some(Value::Array(items)) => _ = items.remove(name.parse().unwrap()),
            Some(Value::Object(members)) => _ = members.remove(&name),
            _ => {}
        }
        if keep(&without) {
            *scenario = without;
        } else {
            let name = name.replace('~', "~0").replace('/', "~1");
            shrink_at(scenario, &format!("{place}/{name}"), keep);
        }
    }
}
