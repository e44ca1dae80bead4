logstore_test(test_tools client_parts http_core streamr eth base)
