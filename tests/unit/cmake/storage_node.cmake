logstore_test(test_assigned logstore_core)
logstore_test(test_topic host_bus)
target_include_directories(test_topic PRIVATE ${CMAKE_SOURCE_DIR}/host)
