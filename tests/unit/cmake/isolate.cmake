logstore_test(test_isolate host_isolate)
target_include_directories(test_isolate PRIVATE ${CMAKE_SOURCE_DIR}/host)
