logstore_test(test_net host_net)
target_include_directories(test_net PRIVATE ${CMAKE_SOURCE_DIR}/host)
logstore_test(test_park host_net)
target_include_directories(test_park PRIVATE ${CMAKE_SOURCE_DIR}/host)
