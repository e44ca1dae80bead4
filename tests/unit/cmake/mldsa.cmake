logstore_test(test_mldsa mldsa streamr base dep::jansson)
