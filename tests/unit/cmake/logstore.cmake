logstore_test(test_store logstore_core)
logstore_test(test_retention logstore_core)
logstore_test(test_schema json)
logstore_test(test_json_suite json)
