logstore_fuzz(fuzz_exports conformance base)
