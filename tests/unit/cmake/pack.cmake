logstore_test(test_pack pack base)
