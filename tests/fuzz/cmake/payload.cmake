logstore_fuzz(fuzz_payload payload streamr base)
