logstore_fuzz(fuzz_dht streamr_wire base)
logstore_fuzz(fuzz_gaps streamr_wire base)
