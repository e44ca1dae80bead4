logstore_fuzz(fuzz_abi eth base)
logstore_fuzz(fuzz_chain_answer chain_core)
logstore_fuzz(fuzz_chain_state chain_core)
