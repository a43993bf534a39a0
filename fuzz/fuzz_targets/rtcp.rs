#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| framewell_fuzz::rtcp::run(data));
