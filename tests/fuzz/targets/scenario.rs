//! The fuzzer's way into `targets::scenario`; the other targets are not used here.

#![no_main]
#![expect(dead_code, reason = "each program is one target of a shared file")]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::scenario(bytes));
