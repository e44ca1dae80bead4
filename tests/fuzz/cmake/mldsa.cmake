logstore_fuzz(fuzz_mldsa mldsa base)
