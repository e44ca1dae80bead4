logstore_fuzz(fuzz_isolate host_isolate)
target_include_directories(fuzz_isolate PRIVATE ${CMAKE_SOURCE_DIR}/host)
