#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| framewell_fuzz::rtsp_stream::run(data));
