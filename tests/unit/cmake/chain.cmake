logstore_test(test_abi eth base)
logstore_test(test_chain chain_core eth)
