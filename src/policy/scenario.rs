//! Scenarios: one question with the policies that apply to it, as JSON (contract of `crossgate simulate`).
