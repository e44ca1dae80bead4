logstore_test(test_payload payload streamr base)
