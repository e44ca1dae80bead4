logstore_fuzz(fuzz_stream_message streamr base)
logstore_fuzz(fuzz_legacy_json streamr base)
