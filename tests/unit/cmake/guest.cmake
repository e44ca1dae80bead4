logstore_test(test_guest host_isolate streamr eth pack base)
target_include_directories(test_guest PRIVATE ${CMAKE_SOURCE_DIR}/host)
target_compile_definitions(test_guest PRIVATE PROGRAM="$<TARGET_FILE:logstore-broker>"
    PLUGIN="$<TARGET_FILE:test_apart>")
add_dependencies(test_guest logstore-broker test_apart)
