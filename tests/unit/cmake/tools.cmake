logstore_test(test_tools client_parts streamr eth base)
